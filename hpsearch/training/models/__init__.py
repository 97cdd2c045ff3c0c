"""Base models: families and profiles as data; files, processors, chat templates, sizes of pictures."""
