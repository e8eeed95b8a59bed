-- resp: as much of the store's protocol as one script call needs, over nginx's cosockets.
local M = {}

-- The only call: EVALSHA of a loaded script, or whatever words are given. Sent whole, answered by one reply.
local function pack(...)
  local words = {...}
  local out = {'*' .. #words .. '\r\n'}
  for i = 1, #words do
    local word = tostring(words[i])
    out[i + 1] = '$' .. #word .. '\r\n' .. word .. '\r\n'
  end
  return out
end

local function read(line_of, socket)
  local line, err = line_of(socket)
  if not line then return nil, err end
  local kind, rest = line:byte(1), line:sub(2)
  if kind == 58 then return tonumber(rest) end -- :
  if kind == 43 then return rest end -- +
  if kind == 45 then return nil, rest end -- -
  local count = tonumber(rest)
  if kind == 36 then -- $
    if count < 0 then return false end
    local text, why = socket:receive(count + 2)
    return text and text:sub(1, -3), why
  end
  local items = {}
  for i = 1, count do
    local item, why = read(line_of, socket)
    if item == nil then return nil, why end
    items[i] = item
  end
  return items
end

-- The reply to one command on a pooled connection, or nil and why.
function M.call(path, ...)
  local socket = ngx.socket.tcp()
  socket:settimeouts(1000, 5000, 5000)
  local ok, err = socket:connect(path)
  if not ok then return nil, err end
  local sent, why = socket:send(pack(...))
  if not sent then return nil, why end
  local reply, wrong = read(socket.receive, socket)
  if reply ~= nil then socket:setkeepalive(60000, 1024) end
  return reply, wrong
end

return M
