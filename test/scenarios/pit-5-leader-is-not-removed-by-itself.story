# Pit 5: the leader of two is not removed by itself; it hands over, and the other removes it (moby #34384).
members a b
elect a
run
remove a a refused is-leader
transfer a b
run
expect b leader
remove b a
run
expect b voters b
propose b alone
run
expect b applied alone
