"""The lecture's checklist for every activation function, computed: a table and a figure."""
