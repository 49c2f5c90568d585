-- Asks keyward whether a request may pass: `http-request lua.keyward http://127.0.0.1:9000/haproxy`
-- If this script fails, HAProxy goes on with the request: it may pass only if the variable `txn.keyward` is `passed`.
-- Needs HAProxy 2.5 or newer with Lua, as Debian builds it.

local identity = {
    "x-keyward-token", "x-keyward-kind", "x-keyward-owner",
    "x-keyward-account", "x-keyward-token-name", "x-keyward-owner-name",
}
-- The headers of the client that keyward reads: those of `credential_headers`, and those that override a method.
local passed_on = { "authorization", "x-http-method-override", "x-http-method", "x-method-override" }
-- The headers of a rejection that the client gets.
local returned = { "content-type", "www-authenticate", "retry-after", "cache-control", "vary" }

local function answer(txn, status, headers, body)
    local reply = txn:reply({ status = status })
    for name, values in pairs(headers) do
        for _, value in pairs(values) do
            reply:add_header(name, value)
        end
    end
    reply:set_body(body or "")
    txn:done(reply)
end

core.register_action("keyward", { "http-req" }, function(txn, url)
    local sent = txn.http:req_get_headers()
    -- `pathq` is the path and query as the client sent them, also of a request line with a whole address.
    local question = {
        ["x-forwarded-method"] = { txn.f:method() },
        ["x-forwarded-uri"] = { txn.f:pathq() },
        ["x-forwarded-for"] = { txn.f:src() },
        ["x-forwarded-host"] = {},
    }
    -- HAProxy counts the values of a header from 0.
    for _, host in pairs(sent["host"] or {}) do
        table.insert(question["x-forwarded-host"], host)
    end
    for _, name in ipairs(passed_on) do
        for _, value in pairs(sent[name] or {}) do
            question[name] = question[name] or {}
            table.insert(question[name], value)
        end
    end
    local response = core.httpclient():get({ url = url, headers = question, timeout = 3000 })
    if response == nil or response.status ~= 200 then
        local headers = {}
        local status = response and response.status or 0
        for _, name in ipairs(returned) do
            headers[name] = response and response.headers and response.headers[name]
        end
        -- Without an answer nothing passes.
        if status < 400 or status > 599 then status = 503 end
        return answer(txn, status, headers, response and response.body)
    end
    -- A client's own headers of these names are removed, also where keyward's are empty. Some services take `X_Keyward_Owner`
    -- and `X.Keyward.Owner` for `X-Keyward-Owner`.
    for name in pairs(sent) do
        if name:lower():find("keyward", 1, true) then txn.http:req_del_header(name) end
    end
    -- A client can name headers in `connection`, which a proxy behind this one would drop.
    for _, value in pairs(sent["connection"] or {}) do
        if value:lower():find("keyward", 1, true) then txn.http:req_del_header("connection") end
    end
    for _, name in ipairs(identity) do
        local values = response.headers[name]
        local value = values and (values[0] or values[1])
        if value and value ~= "" then txn.http:req_add_header(name, value) end
    end
    txn:set_var("txn.keyward", "passed")
end, 1)
