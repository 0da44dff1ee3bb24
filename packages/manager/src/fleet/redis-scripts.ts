import { MAX_LENGTH } from './setting.ts'

/** The entries that one call reads. A small hash is read at once. */
const PAGE = 500

/**
 * Each script gets two keys: the hash with the settings, and the generation. The generation outlives the hash: `DEL` of
 * the hash alone means that the settings were deleted on purpose, and the next save begins a new generation. A Redis
 * that has neither lost its data, and gets all settings again.
 */
export const generationKey = (key: string): string => `${/\{[^{}]+\}/.test(key) ? key : `{${key}}`}:generation`

/**
 * Reads some entries: the cursor for the next call, the generation, whether the hash exists, and the entries. A text that
 * is too long is cut, so that it cannot fill the memory. A cut text is wrong, and ignored.
 *
 * Arguments: the cursor, and the generation that the process knows.
 */
export const READ = `
local page = redis.call('HSCAN', KEYS[1], ARGV[1], 'COUNT', ${PAGE})
local generation = redis.call('GET', KEYS[2])
local exists = redis.call('EXISTS', KEYS[1])
if exists == 1 and not generation then
  generation = ARGV[2]
  redis.call('SET', KEYS[2], generation)
end
local all = page[2]
for i = 1, #all do if #all[i] > ${MAX_LENGTH} then all[i] = string.sub(all[i], 1, 80) end end
return {page[1], generation or '', tostring(exists), all}`

/**
 * Saves entries. The newer of two texts stays. A text without a time, or with a time in the future, counts as the
 * oldest.
 *
 * Arguments: the latest time, the channel, the generation that the process knows, then names and texts.
 */
export const SAVE = `
local function stamp(text)
  if not text or #text > ${MAX_LENGTH} then return -1 end
  local time, writer = string.match(text, '^(%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d) (%x%x%x%x%x%x%x%x) ')
  if not time or tonumber(time) > tonumber(ARGV[1]) then return -1 end
  return tonumber(time), writer
end
local generation = redis.call('GET', KEYS[2])
if generation and redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('INCR', KEYS[2])
elseif not generation or tonumber(generation) < tonumber(ARGV[3]) then
  redis.call('SET', KEYS[2], ARGV[3])
end
local changed = false
for i = 4, #ARGV, 2 do
  local time, writer = stamp(redis.call('HGET', KEYS[1], ARGV[i]))
  local newTime, newWriter = stamp(ARGV[i + 1])
  if newTime > time or (newTime == time and newWriter > writer) then
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
    changed = true
  end
end
if changed then redis.call('PUBLISH', ARGV[2], '') end`

/** Removes entries that still have these texts. Arguments: names and texts. */
export const REMOVE = `
for i = 1, #ARGV, 2 do
  if redis.call('HGET', KEYS[1], ARGV[i]) == ARGV[i + 1] then redis.call('HDEL', KEYS[1], ARGV[i]) end
end`
