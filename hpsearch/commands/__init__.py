"""The commands besides running a study, a module each. They print nothing: the command line shows what they return."""
