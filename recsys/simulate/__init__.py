"""Users that answer where no log can: choice models, worlds and their dynamics."""
