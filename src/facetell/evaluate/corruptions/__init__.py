"""FER2013-C and its like: faces made worse in 28 ways, each at five severities, from a seed."""
