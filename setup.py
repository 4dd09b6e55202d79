"""What a wheel holds: study/, with conf/ inside it, where an installed package looks for it."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["study", "study.*"]), "study.conf"],
    package_dir={"study.conf": "conf"},
    package_data={
        "study": [f"**/*.{suffix}" for suffix in ("css", "html", "js", "mplstyle", "yaml")],
        "study.conf": ["**/*.yaml"],
    },
)
