// A strict parser: bounded depth, every escape, nothing after the value. Duplicate keys: the first one counts.
#include "json.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEPTH_MAX 64
#define FILE_BYTES_MAX (16u << 20)

struct parser {
  char *at;
  struct arena *arena;
  struct fault *fault;
  int depth;
};

static const struct json *value(struct parser *parser);

static void *refuse(struct parser *parser, const char *what) {
  fault_say(parser->fault, FAULT_INVALID, "invalid JSON: %s at '%.20s'", what, parser->at);
  return NULL;
}

static void skip_blanks(struct parser *parser) { parser->at += strspn(parser->at, " \t\r\n"); }

static struct json *make(struct parser *parser, enum json_kind kind) {
  struct json *made = arena_take(parser->arena, sizeof *made, parser->fault);
  if (made != NULL) made->kind = kind;
  return made;
}

static int hex4(const char *at, uint32_t *code) {
  *code = 0;
  for (int i = 0; i < 4; i++) {
    const char *digits = "0123456789abcdef", *digit = at[i] == 0 ? NULL : strchr(digits, at[i] | 0x20);
    if (digit == NULL || (at[i] < '0')) return -1;
    *code = *code * 16 + (uint32_t)(digit - digits);
  }
  return 0;
}

static char *put_utf8(char *to, uint32_t code) {
  if (code < 0x80) return *to++ = (char)code, to;
  if (code < 0x800) *to++ = (char)(0xc0 | code >> 6);
  else if (code < 0x10000) *to++ = (char)(0xe0 | code >> 12), *to++ = (char)(0x80 | (code >> 6 & 0x3f));
  else *to++ = (char)(0xf0 | code >> 18), *to++ = (char)(0x80 | (code >> 12 & 0x3f)), *to++ = (char)(0x80 | (code >> 6 & 0x3f));
  return *to++ = (char)(0x80 | (code & 0x3f)), to;
}

// Behind `\u`: one code unit, or the two of a pair. A NUL or half a pair has no place in what the kernel is told.
static char *unescape_unicode(struct parser *parser, char *to) {
  uint32_t code, low;
  if (hex4(parser->at, &code) < 0) return refuse(parser, "an escape without four digits");
  parser->at += 4;
  if (code >= 0xd800 && code < 0xdc00) {
    if (parser->at[0] != '\\' || parser->at[1] != 'u' || hex4(parser->at + 2, &low) < 0 || low < 0xdc00 || low > 0xdfff)
      return refuse(parser, "half a surrogate pair");
    parser->at += 6;
    code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
  }
  if (code == 0 || (code >= 0xdc00 && code < 0xe000)) return refuse(parser, "a character that has no place");
  return put_utf8(to, code);
}

static char *unescape(struct parser *parser, char *to) {
  static const char from[] = "\"\\/bfnrt", into[] = "\"\\/\b\f\n\r\t";
  char kind = *parser->at++;
  if (kind == 'u') return unescape_unicode(parser, to);
  const char *found = kind == 0 ? NULL : strchr(from, kind);
  if (found == NULL) return refuse(parser, "an unknown escape");
  *to++ = into[found - from];
  return to;
}

// In place: what is unescaped is never longer.
static char *string(struct parser *parser) {
  char *start = ++parser->at, *to = start;
  while (*parser->at != '"') {
    if ((unsigned char)*parser->at < 0x20) return refuse(parser, "a string without an end");
    if (*parser->at != '\\') *to++ = *parser->at++;
    else {
      parser->at++;
      to = unescape(parser, to);
      if (to == NULL) return NULL;
    }
  }
  parser->at++;
  *to = 0;
  return start;
}

static const struct json *number(struct parser *parser) {
  size_t length = strspn(parser->at, "+-.0123456789eE");
  struct json *made = make(parser, JSON_NUMBER);
  char *text = arena_take(parser->arena, length + 1, parser->fault);
  if (made == NULL || text == NULL) return NULL;
  if (length == 0) return refuse(parser, "an unknown value");
  memcpy(text, parser->at, length);
  parser->at += length;
  made->text = text;
  return made;
}

static const struct json *word(struct parser *parser, const char *text, enum json_kind kind) {
  if (strncmp(parser->at, text, strlen(text)) != 0) return refuse(parser, "an unknown value");
  parser->at += strlen(text);
  return make(parser, kind);
}

static char *member_key(struct parser *parser) {
  skip_blanks(parser);
  if (*parser->at != '"') return refuse(parser, "a member without a name");
  char *key = string(parser);
  skip_blanks(parser);
  if (key != NULL && *parser->at != ':') return refuse(parser, "a member without a value");
  parser->at++;
  return key;
}

static const struct json *members(struct parser *parser, enum json_kind kind, char close) {
  struct json *made = make(parser, kind);
  if (made == NULL) return NULL;
  const struct json **last = &made->first;
  parser->at++;
  skip_blanks(parser);
  if (*parser->at == close) return parser->at++, made;
  for (;;) {
    char *key = kind == JSON_OBJECT ? member_key(parser) : NULL;
    if (kind == JSON_OBJECT && key == NULL) return NULL;
    struct json *entry = (struct json *)value(parser);
    if (entry == NULL) return NULL;
    entry->key = key;
    *last = entry;
    last = &entry->next;
    skip_blanks(parser);
    char mark = *parser->at;
    if (mark != ',' && mark != close) return refuse(parser, "a list without an end");
    parser->at++;
    if (mark == close) return made;
  }
}

static const struct json *text_value(struct parser *parser) {
  struct json *made = make(parser, JSON_STRING);
  if (made != NULL) made->text = string(parser);
  return made != NULL && made->text != NULL ? made : NULL;
}

static const struct json *value(struct parser *parser) {
  const struct json *made;
  skip_blanks(parser);
  if (++parser->depth > DEPTH_MAX) return refuse(parser, "too deep a nesting");
  switch (*parser->at) {
  case '{': made = members(parser, JSON_OBJECT, '}'); break;
  case '[': made = members(parser, JSON_ARRAY, ']'); break;
  case '"': made = text_value(parser); break;
  case 't': made = word(parser, "true", JSON_TRUE); break;
  case 'f': made = word(parser, "false", JSON_FALSE); break;
  case 'n': made = word(parser, "null", JSON_NULL); break;
  default: made = number(parser);
  }
  parser->depth--;
  return made;
}

const struct json *json_parse(char *text, struct arena *arena, struct fault *fault) {
  struct parser parser = {text, arena, fault, 0};
  const struct json *root = value(&parser);
  skip_blanks(&parser);
  if (root != NULL && *parser.at != 0) return refuse(&parser, "something behind the value");
  return root;
}

const struct json *json_read(int folder, const char *name, struct arena *arena, struct fault *fault) {
  struct stat status;
  int file = openat(folder, name, O_RDONLY | O_CLOEXEC);
  if (file < 0 || fstat(file, &status) < 0) return fault_invalid(fault, "open %s", name), NULL;
  char *text = NULL;
  size_t length = 0, capacity = FILE_BYTES_MAX;
  if (S_ISREG(status.st_mode)) capacity = (size_t)status.st_size + 1;
  if (capacity > FILE_BYTES_MAX) fault_say(fault, FAULT_INVALID, "%s is larger than %u bytes", name, FILE_BYTES_MAX);
  else text = malloc(capacity + 1);
  while (text != NULL && length < capacity) {
    ssize_t got = read(file, text + length, capacity - length);
    if (got < 0) fault_set(fault, "read %s", name);
    if (got <= 0) break;
    length += (size_t)got;
  }
  close(file);
  if (text == NULL || fault->kind != FAULT_NONE) return NULL;
  text[length] = 0;
  if (strlen(text) != length) return fault_say(fault, FAULT_INVALID, "%s holds a NUL", name), NULL;
  // A value of one character takes one node of the tree.
  if (arena->start == NULL && arena_map(arena, length * sizeof(struct json) + (4 << 20), fault) < 0) return NULL;
  return json_parse(text, arena, fault);
}

const struct json *json_member(const struct json *object, const char *key) {
  if (object == NULL || object->kind != JSON_OBJECT) return NULL;
  for (const struct json *entry = object->first; entry != NULL; entry = entry->next)
    if (strcmp(entry->key, key) == 0) return entry->kind == JSON_NULL ? NULL : entry;
  return NULL;
}

const struct json *json_path(const struct json *object, const char *first, const char *second) {
  return json_member(json_member(object, first), second);
}

static const struct json *typed(const struct json *object, const char *key, enum json_kind kind, const char *what,
                                struct fault *fault) {
  const struct json *found = json_member(object, key);
  bool flags = kind == JSON_TRUE && found != NULL && found->kind == JSON_FALSE;
  if (found == NULL || found->kind == kind || flags) return found;
  fault_say(fault, FAULT_INVALID, "%s must be %s", key, what);
  return NULL;
}

const char *json_text(const struct json *object, const char *key, const char *fallback, struct fault *fault) {
  const struct json *found = typed(object, key, JSON_STRING, "a text", fault);
  return found == NULL ? fallback : found->text;
}

bool json_flag(const struct json *object, const char *key, bool fallback, struct fault *fault) {
  const struct json *found = typed(object, key, JSON_TRUE, "true or false", fault);
  return found == NULL ? fallback : found->kind == JSON_TRUE;
}

int64_t json_integer(const struct json *object, const char *key, int64_t fallback, struct fault *fault) {
  const struct json *found = typed(object, key, JSON_NUMBER, "a whole number", fault);
  char *end;
  if (found == NULL) return fallback;
  errno = 0;
  int64_t number_ = strtoll(found->text, &end, 10);
  if (errno == 0 && *end == 0) return number_;
  fault_say(fault, FAULT_INVALID, "%s is %s, which is not a whole number in range", key, found->text);
  return fallback;
}

uint64_t json_unsigned(const struct json *object, const char *key, uint64_t fallback, struct fault *fault) {
  const struct json *found = typed(object, key, JSON_NUMBER, "a whole number", fault);
  char *end;
  if (found == NULL) return fallback;
  errno = 0;
  uint64_t number_ = strtoull(found->text, &end, 10);
  if (errno == 0 && *end == 0 && found->text[0] != '-') return number_;
  fault_say(fault, FAULT_INVALID, "%s is %s, which is not a whole number in range", key, found->text);
  return fallback;
}

const struct json *json_list(const struct json *object, const char *key, struct fault *fault) {
  const struct json *found = typed(object, key, JSON_ARRAY, "a list", fault);
  return found == NULL ? NULL : found->first;
}

uint32_t json_count(const struct json *first) {
  uint32_t count = 0;
  for (; first != NULL; first = first->next) count++;
  return count;
}

struct strings json_strings(const struct json *object, const char *key, struct arena *arena, struct fault *fault) {
  static const char *none[] = {NULL};
  const struct json *entry = json_list(object, key, fault);
  struct strings strings = {0, arena_take(arena, (json_count(entry) + 1) * sizeof *strings.items, fault)};
  if (strings.items == NULL) return (struct strings){0, none};
  for (; entry != NULL; entry = entry->next) {
    if (entry->kind != JSON_STRING) fault_say(fault, FAULT_INVALID, "%s must be a list of texts", key);
    strings.items[strings.count++] = entry->kind == JSON_STRING ? entry->text : "";
  }
  return strings;
}

void json_write_text(FILE *out, const char *text) {
  fputc('"', out);
  for (; *text != 0; text++) {
    unsigned char byte = (unsigned char)*text;
    if (byte == '"' || byte == '\\') fprintf(out, "\\%c", byte);
    else if (byte < 0x20) fprintf(out, "\\u%04x", byte);
    else fputc(byte, out);
  }
  fputc('"', out);
}
