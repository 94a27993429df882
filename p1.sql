\set a random(1,1000)
SELECT loyalty.post(1,:a,'deposit','1');
