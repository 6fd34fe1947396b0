"""Several runs of one configuration, as DVC experiments: other training seeds, the control, the test questions."""
