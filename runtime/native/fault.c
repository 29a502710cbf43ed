// Faults: the first one set is kept, since later ones are only its consequences.
#include "fault.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *error_words(int error) {
  switch (error) {
  case ENOENT: return "no such file or directory";
  case EACCES: return "permission denied";
  case EPERM: return "operation not permitted";
  case ENOEXEC: return "exec format error";
  case ENOTDIR: return "not a directory";
  case EISDIR: return "is a directory";
  case E2BIG: return "argument list too long";
  case ELOOP: return "too many levels of symbolic links";
  case EINVAL: return "invalid argument";
  case ETXTBSY: return "text file busy";
  case ENOSPC: return "no space left on device";
  case EBUSY: return "device or resource busy";
  default: return strerror(error);
  }
}

static int keep(struct fault *fault, enum fault_kind kind, int error, const char *format, va_list arguments) {
  if (fault->kind != FAULT_NONE) return -1;
  fault->kind = kind;
  fault->error = error;
  int length = vsnprintf(fault->text, sizeof fault->text, format, arguments);
  if (error != 0 && length >= 0 && (size_t)length < sizeof fault->text)
    snprintf(fault->text + length, sizeof fault->text - (size_t)length, ": %s", error_words(error));
  return -1;
}

int fault_set(struct fault *fault, const char *format, ...) {
  int error = errno;
  va_list arguments;
  va_start(arguments, format);
  keep(fault, FAULT_INTERNAL, error, format, arguments);
  va_end(arguments);
  return -1;
}

int fault_invalid(struct fault *fault, const char *format, ...) {
  int error = errno;
  va_list arguments;
  va_start(arguments, format);
  keep(fault, FAULT_INVALID, error, format, arguments);
  va_end(arguments);
  return -1;
}

int fault_say(struct fault *fault, enum fault_kind kind, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  keep(fault, kind, 0, format, arguments);
  va_end(arguments);
  return -1;
}
