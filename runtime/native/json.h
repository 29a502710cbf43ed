// JSON as the OCI's files have it: parsed into a tree in an arena, read by typed questions that name what is wrong.
#pragma once
#include "request.h"
#include <stdio.h>

enum json_kind { JSON_NULL, JSON_FALSE, JSON_TRUE, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json {
  enum json_kind kind;
  const char *key;  // in an object
  const char *text; // of a string or a number
  const struct json *first, *next;
};

// `text` is changed and must live as long as the tree; it ends with a NUL. NULL with the fault set.
const struct json *json_parse(char *text, struct arena *arena, struct fault *fault);
// The whole file; NULL with the fault set.
const struct json *json_read(int folder, const char *name, struct arena *arena, struct fault *fault);

// A member that is missing or null is NULL; so are all members of NULL.
const struct json *json_member(const struct json *object, const char *key);
const struct json *json_path(const struct json *object, const char *first, const char *second);

// These set the fault when the member has another type, and then give the fallback.
const char *json_text(const struct json *object, const char *key, const char *fallback, struct fault *fault);
bool json_flag(const struct json *object, const char *key, bool fallback, struct fault *fault);
int64_t json_integer(const struct json *object, const char *key, int64_t fallback, struct fault *fault);
uint64_t json_unsigned(const struct json *object, const char *key, uint64_t fallback, struct fault *fault);
struct strings json_strings(const struct json *object, const char *key, struct arena *arena, struct fault *fault);
// The first entry of a list; sets the fault when the member is something else.
const struct json *json_list(const struct json *object, const char *key, struct fault *fault);
uint32_t json_count(const struct json *first);

void json_write_text(FILE *out, const char *text);
