-- The rules of core/limits/buckets.py and core/limits/spend.py, decided inside Valkey: one call, one step.
--
-- KEYS[1]  the prefix, with a hash tag: every key of the counters begins with it, so they share
--          a slot, and a cluster sends the script to the node with all of them
-- ARGV     see script.lua, which stands in front of this
--
-- prefix:bucket:NAME    "used at limit"; gone when the bucket is full again
-- prefix:account:NAME   hash: spent, held, first, until; gone some time after its period
-- prefix:holds          hash: the holds of each reservation, in MessagePack
-- prefix:leases         sorted set: the reservations, by the time when they are released
-- prefix:settled:ID     mark of a settled request; gone after an hour
-- prefix:line:NAME      sorted set: the retry slots of a queue, by the time when they are due
-- prefix:seeded         the run of the server in which the accounts were seeded
-- prefix:seeding        the claimant that is about to seed
--
-- Numbers are doubles, and exact below 2^53; the money spent is only changed by HINCRBY.

local UNITS = 60000
local TURN_MS = 1000
local KEPT_MS = 32 * 86400000
-- A repeated settlement comes within this time.
local REMEMBERED_MS = 3600000
-- A full bucket is kept a little longer: if the clock is set back meanwhile, it is not full yet.
local SLACK_MS = 60000
-- One call releases at most so many reservations of dead processes; the next call continues.
local MOST_EXPIRED = 200

local prefix = KEYS[1]

-- The run of the server, which is read once: a call may have many operations.
local own_run
local function run_of_server()
  own_run = own_run or string.match(call('INFO', 'server'), 'run_id:(%x+)')
  return own_run
end

local function seeded()
  local run = call('GET', prefix .. ':seeded')
  -- A restarted server may have come back with an older state, so it needs a new seeding.
  return run and run == run_of_server() or false
end

-- Buckets -------------------------------------------------------------------------------------

local function time_for(units, limit)
  return math.ceil(units / limit)
end

local function read_buckets(draws)
  if #draws == 0 then
    return {}
  end
  local keys = {}
  for i, draw in ipairs(draws) do
    keys[i] = prefix .. ':bucket:' .. draw.bucket
  end
  local buckets = {}
  for i, text in ipairs(call('MGET', unpack(keys))) do
    local bucket = { key = keys[i], used = 0, at = now }
    if text then
      local used, at, limit = string.match(text, '^(%d+) (%d+) (%d+)$')
      bucket.at, bucket.limit = tonumber(at), tonumber(limit)
      bucket.used = tonumber(used)
      if now > bucket.at then
        bucket.used = math.max(0, bucket.used - (now - bucket.at) * bucket.limit)
      end
    end
    buckets[i] = bucket
  end
  return buckets
end

local function write_bucket(bucket, used, limit)
  if used <= 0 then
    call('DEL', bucket.key)
  else
    local text = whole(used) .. ' ' .. whole(now) .. ' ' .. whole(limit)
    call('SET', bucket.key, text, 'PX', whole(time_for(used, limit) + SLACK_MS))
  end
end

local function level(used, limit)
  return { math.max(0, limit - math.ceil(used / UNITS)), time_for(used, limit) }
end

local function wait_ms(draw, used)
  local needed = draw.needs_positive and UNITS or math.min(draw.amount, draw.limit) * UNITS
  local missing = needed + used - draw.limit * UNITS
  return missing > 0 and time_for(missing, draw.limit) or 0
end

local function levels(draws, buckets)
  local found = {}
  for i, draw in ipairs(draws) do
    found[i] = level(buckets[i].used, draw.limit)
  end
  return found
end

-- Draws unconditionally.
local function take(draws)
  -- One by one: here a bucket may stand more than once.
  for _, draw in ipairs(draws) do
    local bucket = read_buckets({ draw })[1]
    write_bucket(bucket, math.max(0, bucket.used + draw.amount * UNITS), draw.limit)
  end
end

local function refused_by_rate(draws, buckets)
  local longest, index = 0, 0
  for i, draw in ipairs(draws) do
    local wait = wait_ms(draw, buckets[i].used)
    if wait > longest then
      longest, index = wait, i
    end
  end
  if longest == 0 then
    return nil
  end
  for i, draw in ipairs(draws) do
    local bucket = buckets[i]
    if bucket.limit and (bucket.limit ~= draw.limit or now < bucket.at) then
      write_bucket(bucket, bucket.used, draw.limit)
    end
  end
  return { 'limited', index - 1, longest, levels(draws, buckets) }
end

local function draw_all(draws, buckets)
  local after = {}
  for i, draw in ipairs(draws) do
    local used = math.max(0, buckets[i].used + draw.amount * UNITS)
    write_bucket(buckets[i], used, draw.limit)
    after[i] = level(used, draw.limit)
  end
  return after
end

-- Accounts ------------------------------------------------------------------------------------

local function account_key(name)
  return prefix .. ':account:' .. name
end

local function read_account(name)
  local key = account_key(name)
  local fields = call('HMGET', key, 'spent', 'held', 'first', 'until')
  return {
    key = key,
    missing = not (fields[1] or fields[2]),
    spent = tonumber(fields[1] or 0),
    held = tonumber(fields[2] or 0),
    first = fields[3],
    first_until = tonumber(fields[4] or 0),
  }
end

-- The first use of an account creates it, with the time of its end. A process that uses an ended
-- account has a clock that is behind: the account is kept for some time, and its limit holds.
local function add(key, field, amount, forget_at, is_new)
  call('HINCRBY', key, field, whole(amount))
  if is_new and forget_at then
    call('PEXPIRE', key, whole(KEPT_MS))
    call('PEXPIREAT', key, whole(forget_at), 'GT')
  end
end

local function release(reservation)
  for _, hold in ipairs(reservation) do
    local key = account_key(hold[1])
    if call('EXISTS', key) == 1 then
      call('HINCRBY', key, 'held', whole(0 - hold[2]))
    end
  end
end

local function give_up(id)
  local reservation = call('HGET', prefix .. ':holds', id)
  if reservation then
    release(cmsgpack.unpack(reservation))
    call('HDEL', prefix .. ':holds', id)
    call('ZREM', prefix .. ':leases', id)
  end
end

-- Time stands still within a call, so what is over is released once.
local expired = false
local function expire()
  if expired then
    return
  end
  expired = true
  local over = call('ZRANGE', prefix .. ':leases', '-inf', whole(now), 'BYSCORE', 'LIMIT', 0,
    MOST_EXPIRED)
  for _, id in ipairs(over) do
    give_up(id)
  end
end

local function end_turn(ask, accounts)
  for _, account in ipairs(accounts) do
    if account.first == ask.id then
      call('HDEL', account.key, 'first', 'until')
    end
  end
end

local function awaited_by_another(account, id)
  return account.first and account.first ~= id and now < account.first_until
end

-- A hold is { account, limit or nil, amount, end of the account or nil }.
local function refused_by_spend(ask, accounts)
  local busy
  for i, hold in ipairs(ask.holds) do
    local account = accounts[i]
    if hold[2] and hold[3] > 0 then
      if account.spent + hold[3] > hold[2] then
        end_turn(ask, accounts)
        return { 'exceeded', i - 1 }
      end
      local full = account.spent + account.held + hold[3] > hold[2]
      if not busy and (full or awaited_by_another(account, ask.id)) then
        busy = i
      end
    end
  end
  if not busy then
    return nil
  end
  local account = accounts[busy]
  if not ask.waits then
    end_turn(ask, accounts)
  elseif not awaited_by_another(account, ask.id) then
    call('HSET', account.key, 'first', ask.id, 'until', whole(now + TURN_MS))
  end
  return { 'busy', busy - 1 }
end

local function hold_all(ask, accounts)
  local held = {}
  for i, hold in ipairs(ask.holds) do
    local account = accounts[i]
    add(account.key, 'held', hold[3], hold[4], account.missing)
    held[i] = { hold[1], hold[3] }
  end
  local expires_at = whole(now + ask.lease_ms)
  call('HSET', prefix .. ':holds', ask.id, cmsgpack.pack(held))
  call('ZADD', prefix .. ':leases', expires_at, ask.id)
end

-- Operations ----------------------------------------------------------------------------------

local operations = {}

function operations.admit(ask)
  if not seeded() then
    return { 'unseeded' }
  end
  expire()
  local buckets = read_buckets(ask.draws)
  -- A repeated ask takes nothing, nor does a delayed one whose settlement came first.
  if call('HEXISTS', prefix .. ':holds', ask.id) == 1
      or call('EXISTS', prefix .. ':settled:' .. ask.id) == 1 then
    return { 'granted', levels(ask.draws, buckets) }
  end
  local accounts = {}
  for i, hold in ipairs(ask.holds) do
    accounts[i] = read_account(hold[1])
  end
  local refusal = refused_by_spend(ask, accounts)
  if refusal then
    return refusal
  end
  end_turn(ask, accounts)
  refusal = refused_by_rate(ask.draws, buckets)
  if refusal then
    return refusal
  end
  hold_all(ask, accounts)
  return { 'granted', draw_all(ask.draws, buckets) }
end

-- The answer also reports to processes that only draw that the counters have lost their holds.
function operations.draw(draws)
  take(draws)
  return seeded()
end

local function settle_one(settlement)
  -- Released also if its cost is known from the ledger: the server may still have its holds.
  give_up(settlement.id)
  local mark = prefix .. ':settled:' .. settlement.id
  if not call('SET', mark, '', 'NX', 'PX', REMEMBERED_MS) then
    return
  end
  for _, cost in ipairs(settlement.costs) do
    local key = account_key(cost[1])
    add(key, 'spent', cost[2], cost[3], call('EXISTS', key) == 0)
  end
  take(settlement.corrections)
end

function operations.settle(settlements)
  if not seeded() then
    return false
  end
  for _, settlement in ipairs(settlements) do
    settle_one(settlement)
  end
  return true
end

function operations.renew(renewal)
  expire()
  local expires_at = whole(now + renewal.lease_ms)
  for _, id in ipairs(renewal.reservations) do
    call('ZADD', prefix .. ':leases', 'XX', expires_at, id)
  end
  return seeded()
end

-- Holds for the running requests of a process whose reservations the counters have lost.
function operations.hold(asks)
  for _, ask in ipairs(asks) do
    local known = call('HEXISTS', prefix .. ':holds', ask.id) == 1
      or call('EXISTS', prefix .. ':settled:' .. ask.id) == 1
    if not known then
      local accounts = {}
      for i, hold in ipairs(ask.holds) do
        accounts[i] = read_account(hold[1])
      end
      hold_all(ask, accounts)
    end
  end
  return true
end

function operations.release(ids)
  for _, id in ipairs(ids) do
    give_up(id)
  end
  return true
end

function operations.levels(draws)
  return levels(draws, read_buckets(draws))
end

function operations.balance(names)
  expire()
  local found = {}
  for i, name in ipairs(names) do
    local fields = call('HMGET', account_key(name), 'spent', 'held')
    -- As text: the sum of an account without a limit may be too large for a double.
    found[i] = { fields[1] or '0', fields[2] or '0' }
  end
  return found
end

local function queue_key(name)
  return prefix .. ':line:' .. name
end

function operations.add_retry_slot(added)
  local key = queue_key(added.queue)
  call('ZADD', key, whole(now + added.due_in_ms), added.slot)
  -- Long enough for its owner to drop a slot that was not taken.
  local left = math.max(call('PTTL', key), added.due_in_ms + added.kept_ms + SLACK_MS)
  call('PEXPIRE', key, whole(left))
  return true
end

-- A slot that is over stays: its owner drops it, and gives back its draws.
function operations.take_retry_slot(asked)
  local key = queue_key(asked.queue)
  local first = call('ZRANGE', key, '(' .. whole(now - asked.kept_ms), '+inf', 'BYSCORE', 'LIMIT',
    0, 1, 'WITHSCORES')
  if #first == 0 then
    return false
  end
  local early = math.max(0, tonumber(first[2]) - now)
  if early == 0 then
    call('ZREM', key, first[1])
  end
  return { first[1], early }
end

function operations.drop_retry_slot(dropped)
  return call('ZREM', queue_key(dropped.queue), dropped.slot) == 1
end

function operations.seeded()
  return seeded()
end

function operations.unseed()
  call('DEL', prefix .. ':seeded')
  return true
end

-- Gives the right to seed to one claimant at a time: the run of the server; others get false.
function operations.begin_seeding(claim)
  if seeded() then
    return false
  end
  if not call('SET', prefix .. ':seeding', claim.claimant, 'NX', 'PX', whole(claim.patience_ms)) then
    return false
  end
  return run_of_server()
end

function operations.abandon_seeding(claimant)
  if call('GET', prefix .. ':seeding') == claimant then
    call('DEL', prefix .. ':seeding')
  end
  return true
end

-- A part of the sums; the last part names the run, and from then on asks are granted.
function operations.seed(part)
  if call('GET', prefix .. ':seeding') ~= part.claimant or seeded() then
    return false
  end
  for _, account in ipairs(part.spent) do
    local key = account_key(account[1])
    -- Without a time it is an account of an earlier state, whose end may just have come.
    if account[3] then
      call('HSET', key, 'spent', account[2])
      call('PEXPIREAT', key, whole(account[3]))
    elseif call('EXISTS', key) == 1 then
      call('HSET', key, 'spent', account[2])
    end
  end
  for _, id in ipairs(part.settled) do
    call('SET', prefix .. ':settled:' .. id, '', 'PX', REMEMBERED_MS)
  end
  if part.run then
    call('SET', prefix .. ':seeded', part.run)
    call('DEL', prefix .. ':seeding')
  end
  return true
end

return answers_of(operations)
