"""Users that answer where no log can: simulators, their choice models and their dynamics."""
