-- What every script begins with: its time, and how it writes numbers.
--
-- ARGV[3]  the time in Unix milliseconds, in tests; otherwise it is the server's

local call = redis.call

local function now_ms()
  if ARGV[3] then
    return tonumber(ARGV[3])
  end
  local time = call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

local now = now_ms()

-- tostring() would round to 14 digits.
local function whole(number)
  return string.format('%.0f', number)
end

