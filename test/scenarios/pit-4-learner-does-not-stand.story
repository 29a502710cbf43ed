# Pit 4: a learner never stands for election itself.
members a b c
learners d
tick d 60
run
expect d follower
expect d term 1
