-- SPDX-License-Identifier: MIT
-- join.lua -- agree on what all processes of one data set have in common.
--
-- KEYS   1 hash: <prefix>:meta
-- ARGV   1 version of the layout, 2 number of slots, 3 a random epoch
-- answer {version, slots, epoch} as they stand: those of whoever came first
--
-- Only what is missing is written, each field by itself, so that a hash that
-- somebody has begun by hand is completed and never changed.  HDEL removes
-- nothing: it is the write behind which a full Redis refuses no other.
local meta = KEYS[1]
redis.call('HDEL', meta, '')
redis.call('HSETNX', meta, 'version', ARGV[1])
redis.call('HSETNX', meta, 'slots', ARGV[2])
redis.call('HSETNX', meta, 'epoch', ARGV[3])
return redis.call('HMGET', meta, 'version', 'slots', 'epoch')
