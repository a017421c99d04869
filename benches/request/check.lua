-- What nginx checks in the bench: one key, fixed components, the age; no nonces, no limit per app.

local ffi = require "ffi"
ffi.cdef [[
  typedef struct evp_md_st EVP_MD;
  const EVP_MD *EVP_sha256(void);
  unsigned char *HMAC(const EVP_MD *md, const void *key, int key_len,
    const unsigned char *d, size_t n, unsigned char *out, unsigned int *out_len);
  int CRYPTO_memcmp(const void *a, const void *b, size_t n);
]]
local crypto = ffi.load "libcrypto.so.3"
local sha256 = crypto.EVP_sha256()
local secret, key_id = "{secret}", "{key_id}"
local out, length = ffi.new "unsigned char[32]", ffi.new "unsigned int[1]"
local checks = {}

local function tag_holds(text, tag)
  if not tag or #tag ~= 32 then return false end
  crypto.HMAC(sha256, secret, #secret, text, #text, out, length)
  return crypto.CRYPTO_memcmp(out, tag, 32) == 0
end

local function unurl(text)
  return ngx.decode_base64((text:gsub("-", "+"):gsub("_", "/")) .. ("="):rep(-#text % 4))
end

local function signature()
  local input = ngx.var.http_signature_input
  local sent = ngx.var.http_signature
  if not input or not sent then return false end
  local params = input:match "^sig=(.+)$"
  local tag = sent:match "^sig=:([^:]+):$"
  if not params or not tag then return false end
  local created, id = params:match ';created=(%d+);keyid="([^"]+)"'
  if id ~= key_id or math.abs(ngx.time() - tonumber(created)) > 300 then return false end
  local base = '"@method": ' .. ngx.var.request_method .. '\n"@authority": ' .. ngx.var.http_host
    .. '\n"@path": ' .. ngx.var.uri .. '\n"@query": ?' .. ngx.var.args
    .. '\n"@signature-params": ' .. params
  return tag_holds(base, ngx.decode_base64(tag))
end

local function token(text)
  local head, claims, tag = text:match "^([%w_-]+)%.([%w_-]+)%.([%w_-]+)$"
  if not head or not tag_holds(head .. "." .. claims, unurl(tag)) then return false end
  local kid = unurl(head):match '"kid":"([^"]+)"'
  local exp = unurl(claims):match '"exp":(%d+)'
  return kid == key_id and exp and tonumber(exp) > ngx.time()
end

function checks.access()
  local shown = ngx.var.http_portcullis_token
  local holds
  if shown then holds = token(shown) else holds = signature() end
  if not holds then return ngx.exit(401) end
  ngx.req.clear_header "Signature"
  ngx.req.clear_header "Signature-Input"
  ngx.req.clear_header "Portcullis-Token"
end

return checks
