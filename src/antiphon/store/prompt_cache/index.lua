-- The rules of core/prompt_cache/entries.py, decided inside Valkey: one call, one step.
--
-- KEYS[1]  the prefix, with a hash tag, which the counters share
-- ARGV     see script.lua, which stands in front of this
--
-- prefix:cache:entry:KEY        "end tokens lifetime"; nothing from its end on
-- prefix:cache:fingerprint:KEY  "end fingerprint", in JSON; nothing from its end on
-- prefix:cache:room             mark that the memory had room within the last second
--
-- KEY is hexadecimal: MessagePack in Lua has no bytes.

local entries = KEYS[1] .. ':cache:entry:'
local fingerprints = KEYS[1] .. ':cache:fingerprint:'
-- A value is kept a little longer: if the clock is set back meanwhile, it is not over yet.
local SLACK_MS = 60000

-- Returns the end of a live value, and what is behind it.
local function read(text)
  if not text then
    return nil
  end
  local over, value = string.match(text, '^(%d+) (.*)$')
  over = tonumber(over)
  if over and now < over then
    return over, value
  end
end

-- Returns the lifetime of an entry; a value of another release may have none.
local function lifetime_of(value)
  return string.match(value, '^%d+ (5m)$') or string.match(value, '^%d+ (1h)$')
end

-- Unlike GET, MGET finds nothing in place of a value of another type, and fails for none.
local function get(key)
  return call('MGET', key)[1]
end

local function write(key, over, value)
  if now < over then
    call('SET', key, whole(over) .. ' ' .. value, 'PX', whole(over - now + SLACK_MS))
  else
    call('DEL', key)
  end
end

-- The counters must never find the memory full, so a fifth of it is left to them. To ask takes
-- longer than to store, so there is room for a second after there was some.
local function has_room()
  local mark = KEYS[1] .. ':cache:room'
  if call('EXISTS', mark) == 1 then
    return true
  end
  local memory = call('INFO', 'memory')
  local most = tonumber(string.match(memory, 'maxmemory:(%d+)'))
  local used = tonumber(string.match(memory, 'used_memory:(%d+)'))
  local room = most == 0 or used < 0.8 * most
  if room then
    call('SET', mark, '', 'PX', 1000)
  end
  return room
end

local operations = {}

-- Returns the time, and the numbers of the keys that are found, each with its entry.
function operations.find(keys)
  local found = {}
  if #keys > 0 then
    local names = {}
    for i, key in ipairs(keys) do
      names[i] = entries .. key
    end
    for i, text in ipairs(call('MGET', unpack(names))) do
      local _, value = read(text)
      if value and lifetime_of(value) then
        found[#found + 1] = { i - 1, text }
      end
    end
  end
  return { whole(now), found }
end

function operations.refresh(asked)
  local key = entries .. asked.key
  local over, value = read(get(key))
  if over then
    local life = asked.lives[lifetime_of(value) or '']
    if life then
      write(key, math.max(over, asked.started_at + life), value)
    end
  end
  return true
end

-- An entry is { key, tokens, lifetime, end }.
function operations.store(added)
  if not has_room() then
    return false
  end
  for _, entry in ipairs(added) do
    local key, ttl, over = entries .. entry[1], entry[3], entry[4]
    local tokens = whole(entry[2])
    local over_before, before = read(get(key))
    local ttl_before = over_before and string.match(before, '^' .. tokens .. ' (%w+)$')
    if ttl_before then
      over = math.max(over, over_before)
      ttl = ttl_before == '1h' and ttl_before or ttl
    end
    write(key, over, tokens .. ' ' .. ttl)
  end
  return true
end

function operations.keep_fingerprint(kept)
  local room = has_room()
  if room then
    write(fingerprints .. kept.key, now + kept.life, kept.written)
  end
  return room
end

function operations.fingerprint(key)
  local over, value = read(get(fingerprints .. key))
  return over and value or false
end

return answers_of(operations)
