\set a random(1001,2000)
SELECT loyalty.post(1,:a,'deposit','1');
