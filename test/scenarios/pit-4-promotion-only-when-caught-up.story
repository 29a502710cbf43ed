# Pit 4: a learner gets a vote only when it has caught up.
members a b c
learners d
limit promotionLagMax 2
elect a
run
tick a 2
run
cut d
propose a 1 2 3 4 5
run
promote a d refused not-caught-up
join d
tick a 2
run
promote a d
run
expect d voters a b c d
