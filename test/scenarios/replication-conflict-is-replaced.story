# A follower's entries that conflict with the leader's are replaced (5.3, figure 7).
members a b
log a 1 2 2
log b 1 3 3 3
term b 3
term a 3
elect b
run
tick b 2
run
expect b leader
expect a log 1 3 3 3 4
