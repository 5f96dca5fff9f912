"""What a person does with a data set."""
