-- What every script begins with: its time, how it writes numbers, and how it answers.
--
-- ARGV[1]  the operations of a call, in MessagePack: a list of { name, argument }. Each is an entry of
--          the script's table of operations
-- ARGV[2]  the time in Unix milliseconds, in tests; otherwise it is the server's

local call = redis.call

local function now_ms()
  if ARGV[2] then
    return tonumber(ARGV[2])
  end
  local time = call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

local now = now_ms()

-- tostring() would round to 14 digits.
local function whole(number)
  return string.format('%.0f', number)
end

-- Does the operations one after the other, and answers each of them, in MessagePack: { true, result },
-- or { false, error }. One that fails, as for want of memory, leaves the others as they are.
local function answers_of(operations)
  local answers = {}
  for i, asked in ipairs(cmsgpack.unpack(ARGV[1])) do
    local done, result = pcall(operations[asked[1]], asked[2])
    if not done and type(result) == 'table' then
      result = result.err
    end
    answers[i] = { done, result }
  end
  return cmsgpack.pack(answers)
end

