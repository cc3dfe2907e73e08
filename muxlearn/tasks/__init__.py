"""What is predicted: classes, tags, vectors."""

from muxlearn.tasks._viterbi import StepScores, transition_scores, viterbi_many

__all__ = ["StepScores", "transition_scores", "viterbi_many"]
