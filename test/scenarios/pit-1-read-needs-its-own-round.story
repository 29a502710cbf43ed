# Pit 1: a late answer to an earlier heartbeat confirms no read that was asked for after it.
members a b c
elect a
run
cut c
tick a 2
round
save b>a heartbeat-response
cut b>a
read a 7
run
join b>a
replay
run
expect no read 7
tick a 2
run
expect read 7 at 2
