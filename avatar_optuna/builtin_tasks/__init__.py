"""The kinds of tasks that come with this library: one file each, named after the kind."""
