"""Random flips and shifts of a batch, as one index operation."""

import torch
import torch.nn.functional as F


def augment(
    inputs: torch.Tensor, *, flip: bool, crop: int, generator: torch.Generator
) -> torch.Tensor:
    """Each image mirrored left to right with probability 1/2, and shifted.

    inputs: [N, C, H, W]. `crop` is the padding in pixels: the image is padded with zeros on all
    sides and cut back to its size at one of (2 crop + 1)^2 places (He et al. 2016, section 4.2);
    0 leaves it in place. Zeros are the mean of `standard`, `centre` and `pixel` inputs. The draws
    come from `generator`, shifts before flips, and none for what is off.
    """
    if not flip and crop == 0:
        return inputs
    num, channels, height, width = inputs.shape
    rows = torch.arange(height, device=inputs.device).expand(num, height)
    columns = torch.arange(width, device=inputs.device).expand(num, width)
    if crop:
        down, right = _draw(2 * crop + 1, (2, num, 1), generator, inputs.device)
        rows, columns = rows + down, columns + right
        inputs = F.pad(inputs, (crop, crop, crop, crop))
    if flip:
        mirrored = _draw(2, (num, 1), generator, inputs.device).bool()
        columns = torch.where(mirrored, columns.flip(1), columns)
    return inputs[
        torch.arange(num, device=inputs.device)[:, None, None, None],
        torch.arange(channels, device=inputs.device)[:, None, None],
        rows[:, None, :, None],
        columns[:, None, None, :],
    ]


def _draw(
    choices: int, shape: tuple[int, ...], generator: torch.Generator, device: torch.device
) -> torch.Tensor:
    """Whole numbers below `choices`, drawn where the generator lives, on every device the same."""
    drawn = torch.randint(choices, shape, generator=generator, device=generator.device)
    return drawn.to(device)
