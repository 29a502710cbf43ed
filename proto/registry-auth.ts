// Who somebody is to a registry, as Docker sends it: a header of base64 (URL-safe or not, padded or not) around JSON, or
// the body of /auth. A service keeps the header as it came, for the agents. What can not be read means nobody, as in
// dockerd. Nothing of it is ever logged.

/** As the runtime's, which this room does not know. */
export interface RegistryAuth {
  readonly username: string;
  readonly password: string;
  readonly identityToken: string;
  readonly registryToken: string;
  readonly serverAddress: string;
}

export const REGISTRY_AUTH_LENGTH_MAX = 16 * 1024;

export function parseRegistryAuth(header: string): RegistryAuth | undefined {
  if (header === '' || header.length > REGISTRY_AUTH_LENGTH_MAX) return undefined;
  try {
    return registryAuthOf(JSON.parse(Buffer.from(header, 'base64url').toString('utf8')));
  } catch {
    return undefined;
  }
}

/** Undefined when it names nobody. */
export function registryAuthOf(json: unknown): RegistryAuth | undefined {
  if (typeof json !== 'object' || json === null) return undefined;
  const fields = new Map(Object.entries(json).map(([key, value]) => [key.toLowerCase(), value as unknown]));
  const text = (name: string): string => {
    const value = fields.get(name);
    return typeof value === 'string' ? value : '';
  };
  // Older clients keep both in one field.
  const [name = '', ...rest] = Buffer.from(text('auth'), 'base64').toString('utf8').split(':');
  const auth: RegistryAuth = {
    username: text('username') || name,
    password: text('password') || rest.join(':'),
    identityToken: text('identitytoken'),
    registryToken: text('registrytoken'),
    serverAddress: text('serveraddress'),
  };
  return auth.username + auth.identityToken + auth.registryToken === '' ? undefined : auth;
}
