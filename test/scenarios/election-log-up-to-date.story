# A candidate whose log is older is not elected: a leader has everything that is committed (5.4.1).
members a b c
log a 1 2
log b 1 2
log c 1
term c 2
tick c 20
run
expect c follower
expect c term 2
elect a
expect a leader
run
tick a 2
run
expect c log 1 2 3
