// Image references as people write them and as the store keys them.
// Grammar: the distribution project's; `busybox` means docker.io/library/busybox, and no tag means `latest`.
import { fail } from '../../base/errors.ts';

export interface Reference {
  readonly domain: string; // docker.io, localhost:5000
  readonly path: string; // library/busybox
  readonly tag: string | undefined;
  readonly digest: string | undefined; // sha256:…
}

const COMPONENT = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;
const DOMAIN = /^(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9.-]*[a-zA-Z0-9]|\[[a-fA-F0-9:]+\])(?::[0-9]+)?$/;
const TAG = /^\w[\w.-]{0,127}$/;
const DIGEST = /^sha256:[0-9a-f]{64}$/;
const DEFAULT_DOMAIN = 'docker.io';
const OFFICIAL = 'library/';
const NAME_LENGTH_MAX = 255;

export const isDigest = (text: string): boolean => DIGEST.test(text);

export function parseReference(text: string): Reference {
  if (/^[0-9a-f]{64}$/.test(text)) {
    fail('invalid', `invalid repository name (${text}), cannot specify 64-byte hexadecimal strings`);
  }
  const [beforeDigest, digest] = splitDigest(text);
  const slash = beforeDigest.lastIndexOf('/');
  const colon = beforeDigest.indexOf(':', slash + 1);
  const name = colon < 0 ? beforeDigest : beforeDigest.slice(0, colon);
  const tag = colon < 0 ? undefined : beforeDigest.slice(colon + 1);
  if (tag !== undefined && !TAG.test(tag)) fail('invalid', 'invalid reference format');
  return { ...parseName(name), tag, digest };
}

function splitDigest(text: string): [string, string | undefined] {
  const at = text.indexOf('@');
  if (at < 0) return [text, undefined];
  const digest = text.slice(at + 1);
  if (!isDigest(digest)) fail('invalid', 'invalid reference format');
  return [text.slice(0, at), digest];
}

function parseName(name: string): { domain: string; path: string } {
  const { domain, path } = splitDomain(name);
  if (path !== path.toLowerCase()) {
    fail('invalid', `invalid reference format: repository name (${path}) must be lowercase`);
  }
  if (!DOMAIN.test(domain) || !path.split('/').every((component) => COMPONENT.test(component))) {
    fail('invalid', 'invalid reference format');
  }
  if (path.length > NAME_LENGTH_MAX) {
    fail('invalid', `invalid reference format: repository name must not be more than ${NAME_LENGTH_MAX} characters`);
  }
  return { domain, path };
}

function splitDomain(name: string): { domain: string; path: string } {
  const slash = name.indexOf('/');
  const first = name.slice(0, Math.max(slash, 0));
  const isDomain = first !== '' && (/[.:]/.test(first) || first === 'localhost' || first !== first.toLowerCase());
  const domain = isDomain ? first.replace(/^index\.docker\.io$/, DEFAULT_DOMAIN) : DEFAULT_DOMAIN;
  const path = isDomain ? name.slice(slash + 1) : name;
  return { domain, path: domain === DEFAULT_DOMAIN && !path.includes('/') ? `${OFFICIAL}${path}` : path };
}

/** The key of the store's tag table: docker.io/library/busybox:latest. */
export function tagKey(reference: Reference): string {
  return `${repository(reference)}:${reference.tag ?? 'latest'}`;
}

export const repository = (reference: Reference): string => `${reference.domain}/${reference.path}`;

/** The form that people read: the default domain and folder left out. */
export function familiarName(reference: Pick<Reference, 'domain' | 'path'>): string {
  if (reference.domain !== DEFAULT_DOMAIN) return `${reference.domain}/${reference.path}`;
  const short = reference.path.slice(OFFICIAL.length);
  return reference.path.startsWith(OFFICIAL) && !short.includes('/') ? short : reference.path;
}

export function familiar(reference: Reference): string {
  const name = familiarName(reference);
  if (reference.digest !== undefined) return `${name}@${reference.digest}`;
  return `${name}:${reference.tag ?? 'latest'}`;
}

export const familiarTag = (key: string): string => familiar(parseReference(key));
