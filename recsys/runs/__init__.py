"""The engine of every job: an ordered list of stages, the run folder, and the artifacts that trainings leave."""
