-- room: a waiting room as one would write it by hand in nginx, with our answers to a join and to a poll.
-- It checks papers and the registry's line, gives one place a person, and signs and checks tickets; the number that is
-- served is in shared memory. It has no draw, phases, districts' rules, guessing limit, registrations or audit.
local resp = require 'resp'
local cjson = require 'cjson.safe'

local M = {}
local TICKET_KEY, PEPPER, STORE, RATE = '@TICKET_KEY@', '@PEPPER@', '@STORE@', 200
local SCRIPT = [[
local line = redis.call('GET', KEYS[1])
if not line then return {-2, 0, 0} end
if line ~= ARGV[2] then return {-1, 0, 0} end
local serving = tonumber(redis.call('GET', KEYS[4]) or 0)
local entry = redis.call('HGET', KEYS[2], ARGV[1])
if entry then return {tonumber(entry), 0, serving} end
entry = redis.call('INCR', KEYS[3]) - 1
redis.call('HSET', KEYS[2], ARGV[1], entry)
return {entry, 1, serving}
]]
local view = ngx.shared.view
local hmac, base64, now, time = ngx.hmac_sha1, ngx.encode_base64, ngx.now, ngx.time
local sub, byte, find, match, format, floor = string.sub, string.byte, string.find, string.match, string.format, math.floor
local counts = {}
local sha

local function look()
  local serving = resp.call(STORE, 'GET', 'peer:serving')
  if serving == nil then return end
  view:set('serving', tonumber(serving) or 0)
  view:set('seen', now())
end

function M.start()
  ngx.timer.at(0, function()
    sha = resp.call(STORE, 'SCRIPT', 'LOAD', SCRIPT)
    look()
  end)
  ngx.timer.every(0.25, look)
end

local function url64(raw)
  local text = base64(raw, true)
  if find(text, '[+/]') then text = text:gsub('+', '-'):gsub('/', '_') end
  return text
end

local function answer(status, word, body)
  counts[word] = (counts[word] or 0) + 1
  ngx.status = status
  local header = ngx.header
  header['cache-control'] = 'no-store'
  header['content-length'] = #body
  ngx.print(body)
end

local function refuse(status, code) return answer(status, code, '{"code":"' .. code .. '"}') end

-- ahead, seconds until the call, seconds until the next look
local function wait_of(number, serving)
  local ahead = number - serving - 1
  local eta = ahead / RATE
  local after = math.min(math.max(eta * 0.6, 5), 300) * (0.85 + 0.15 * math.random())
  return ahead, floor(eta), after
end

function M.poll()
  local bearer = ngx.var.http_authorization
  if not bearer or #bearer < 40 or sub(bearer, 1, 7) ~= 'Bearer ' then return refuse(401, 'unauthorized') end
  local text = sub(bearer, 8, -29)
  if url64(hmac(TICKET_KEY, text)) ~= sub(bearer, -27) then return refuse(401, 'forged') end
  local entry, expires = match(text, '^%d+%.[%d-]+%.(%d+)%.[%w_-]+%.(%d+)$')
  if not entry or tonumber(expires) < time() then return refuse(410, 'expired') end
  if now() - (view:get('seen') or 0) > 15 then return refuse(503, 'store-unavailable') end
  local number, serving = entry + 1, view:get('serving')
  if number <= serving then
    return answer(200, 'ready', format(
      '{"state":"ready","number":%d,"serving":%d,"ahead":0,"eta_seconds":0,"poll_after_seconds":5,"claim_before":null}',
      number, serving))
  end
  local ahead, eta, after = wait_of(number, serving)
  return answer(200, 'waiting', format(
    '{"state":"waiting","number":%d,"serving":%d,"ahead":%d,"eta_seconds":%d,"poll_after_seconds":%.1f,"claim_before":null}',
    number, serving, ahead, eta, after))
end

local WEIGHTS = {7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2}
local function is_id(id)
  if #id ~= 18 then return false end
  local sum = 0
  for i = 1, 17 do
    local digit = byte(id, i) - 48
    if digit < 0 or digit > 9 then return false end
    sum = sum + digit * WEIGHTS[i]
  end
  return byte('10X98765432', sum % 11 + 1) == byte(id, 18)
end

function M.join(district)
  ngx.req.read_body()
  local papers = cjson.decode(ngx.req.get_body_data() or '')
  if not papers or not papers.id_number or not papers.name or not papers.phone then return refuse(400, 'malformed') end
  if not is_id(papers.id_number) or not find(papers.phone, '^1[3-9]%d%d%d%d%d%d%d%d%d$') or #papers.name < 3 then
    return refuse(422, 'invalid')
  end
  local resident = sub(hmac(PEPPER, 'resident_id:' .. papers.id_number), 1, 16)
  local line = sub(hmac(PEPPER, resident .. papers.phone .. ':' .. papers.name), 1, 12)
  local reply, err = resp.call(
    STORE, 'EVALSHA', sha, 4, 'peer:r:' .. resident, 'peer:places', 'peer:issued', 'peer:serving', resident, line)
  if not reply then
    ngx.log(ngx.ERR, err)
    return refuse(503, 'store-unavailable')
  end
  local entry, fresh, serving = reply[1], reply[2], reply[3]
  if entry == -2 then return refuse(403, 'not-eligible') end
  if entry == -1 then return refuse(403, 'identity-mismatch') end
  local text = district .. '.2021-06-19.' .. entry .. '.' .. url64(resident) .. '.' .. time() + 86400
  local ahead, eta, after = wait_of(entry + 1, serving)
  return answer(fresh == 1 and 201 or 200, 'joined', format(
    '{"ticket":"%s.%s","entry":%d,"number":%d,"serving":%d,"ahead":%d,"eta_seconds":%d,"poll_after_seconds":%.1f,"state":"waiting"}',
    text, url64(hmac(TICKET_KEY, text)), entry, entry + 1, serving, ahead, eta, after))
end

return M
