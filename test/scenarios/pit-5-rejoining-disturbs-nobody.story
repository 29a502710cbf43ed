# Pit 5: who was cut off and comes back starts no election (PreVote, 9.6).
members a b c
elect a
run
cut c
tick c 60
run
expect c term 2
join c
run
tick a 2
run
expect a leader
expect a term 2
expect c follows a
