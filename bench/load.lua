-- One chat request, again and again: wrk -s load.lua URL -- KEY [body BYTES | stream SHAPE]
function init(args)
  local key, shape, what = args[1], args[2], args[3]
  local text = "Write a short poem about rivers and gates, please, in four lines with rhyme."
  if shape == "stream" then text = text .. " [" .. what .. "]" end
  if shape == "body" then text = string.rep("All work and no play makes a dull gate. ", math.floor(what / 40)) end
  local body = '{"model":"gpt-4o","messages":[{"role":"system","content":"You are a helpful assistant."},{"role":"user","content":"'
    .. text .. '"}],"temperature":0.7'
  if shape == "stream" then body = body .. ',"stream":true' end
  wrk.method = "POST"
  wrk.body = body .. "}"
  wrk.headers["content-type"] = "application/json"
  wrk.headers["authorization"] = "Bearer " .. key
  -- Portkey is told by headers where to forward; the others drop or forward these.
  wrk.headers["x-portkey-provider"] = "openai"
  wrk.headers["x-portkey-custom-host"] = "http://127.0.0.1:9100/v1"
end
