// Keys and certificate requests: P-256 throughout. The one place besides manager/ca that speaks X.509.
import { createPrivateKey, createPublicKey, KeyObject, webcrypto } from 'node:crypto';
import type { CertificateMaterial } from './identity.ts';

export const KEY_ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256' } as const;
export const SIGNING_ALGORITHM = { name: 'ECDSA', hash: 'SHA-256' } as const;

export type KeyPair = webcrypto.CryptoKeyPair;

export async function newKeyPair(): Promise<KeyPair> {
  return await webcrypto.subtle.generateKey(KEY_ALGORITHM, true, ['sign', 'verify']);
}

export function keyToPem(key: webcrypto.CryptoKey): string {
  return KeyObject.from(key).export({ type: 'pkcs8', format: 'pem' }) as string;
}

/** Reads a PKCS #8 key back as a pair. */
export async function keyPairFromPem(pem: string): Promise<KeyPair> {
  const secret = createPrivateKey(pem);
  const secretDer = secret.export({ type: 'pkcs8', format: 'der' });
  const publicDer = createPublicKey(secret).export({ type: 'spki', format: 'der' });
  const { subtle } = webcrypto;
  const [privateKey, publicKey] = await Promise.all([
    subtle.importKey('pkcs8', secretDer, KEY_ALGORITHM, true, ['sign']),
    subtle.importKey('spki', publicDer, KEY_ALGORITHM, true, ['verify']),
  ]);
  return { privateKey, publicKey };
}

/** The library costs a fifth of a second and some megabytes: only who makes or reads a certificate pays them. */
export async function loadX509(): Promise<typeof import('@peculiar/x509')> {
  await import('reflect-metadata');
  return await import('@peculiar/x509');
}

/** A request that proves possession of the key. Who the node is, the signer decides; the subject here is not read. */
export async function newCertificateRequest(keys: KeyPair): Promise<string> {
  const { Pkcs10CertificateRequestGenerator } = await loadX509();
  const request = await Pkcs10CertificateRequestGenerator.create({
    name: 'CN=new node',
    keys,
    signingAlgorithm: SIGNING_ALGORITHM,
  });
  return request.toString('pem');
}

/** What was issued, beside the key that it was issued for. */
export function materialOf(
  issued: { readonly certificatePem: string; readonly rootsPem: readonly string[] },
  keys: KeyPair,
): CertificateMaterial {
  return {
    certificatePem: issued.certificatePem,
    keyPem: keyToPem(keys.privateKey),
    rootsPem: [...issued.rootsPem],
  };
}
