// TLS for every connection between nodes. The material can be replaced while servers and clients run: new handshakes
// use the new certificate, open connections stay.
import { type ChannelCredentials, experimental, type ServerCredentials } from '@grpc/grpc-js';
import { X509Certificate } from 'node:crypto';
import type { PeerCertificate } from 'node:tls';
import { type CertificateMaterial, type Identity, identityOf, identityOfPem } from './identity.ts';

type CaListener = experimental.CaCertificateUpdateListener;
type IdentityListener = experimental.IdentityCertificateUpdateListener;

/** The node's present certificate, key and trusted roots, for all who need them. */
export class Credentials implements experimental.CertificateProvider {
  #material: CertificateMaterial;
  #identity: Identity;
  readonly #caListeners = new Set<CaListener>();
  readonly #identityListeners = new Set<IdentityListener>();
  readonly #changeListeners = new Set<(material: CertificateMaterial) => void>();

  constructor(material: CertificateMaterial) {
    this.#material = material;
    this.#identity = identityOfPem(material.certificatePem);
  }

  get material(): CertificateMaterial {
    return this.#material;
  }

  get identity(): Identity {
    return this.#identity;
  }

  replace(material: CertificateMaterial): void {
    this.#identity = identityOfPem(material.certificatePem);
    this.#material = material;
    for (const listener of this.#caListeners) listener(this.#caUpdate());
    for (const listener of this.#identityListeners) listener(this.#identityUpdate());
    for (const listener of this.#changeListeners) listener(material);
  }

  onChange(listener: (material: CertificateMaterial) => void): Disposable {
    this.#changeListeners.add(listener);
    return { [Symbol.dispose]: () => void this.#changeListeners.delete(listener) };
  }

  /** For a server whose callers must show a certificate of our roots. */
  serverCredentials(): ServerCredentials {
    return experimental.createCertificateProviderServerCredentials(this, this, true);
  }

  /** For the one listener that strangers may reach. */
  openServerCredentials(): ServerCredentials {
    return experimental.createCertificateProviderServerCredentials(this, null, false);
  }

  /** For dialling a manager of our own cluster, whatever its address. */
  channelCredentials(): ChannelCredentials {
    return experimental.createCertificateProviderChannelCredentials(this, this, {
      checkServerIdentity: (_host, peer) => this.#refusalOfServer(peer),
    });
  }

  addCaCertificateListener(listener: CaListener): void {
    this.#caListeners.add(listener);
    // Not at once: grpc-js is only afterwards ready to be told.
    queueMicrotask(() => listener(this.#caUpdate()));
  }

  removeCaCertificateListener(listener: CaListener): void {
    this.#caListeners.delete(listener);
  }

  addIdentityCertificateListener(listener: IdentityListener): void {
    this.#identityListeners.add(listener);
    queueMicrotask(() => listener(this.#identityUpdate()));
  }

  removeIdentityCertificateListener(listener: IdentityListener): void {
    this.#identityListeners.delete(listener);
  }

  #refusalOfServer(peer: PeerCertificate): Error | undefined {
    try {
      const server = identityOf(new X509Certificate(peer.raw));
      if (server.clusterId !== this.#identity.clusterId) return new Error('the server belongs to another cluster');
      return server.role === 'manager' ? undefined : new Error('the server is not a manager');
    } catch (error) {
      return error instanceof Error ? error : new Error(String(error));
    }
  }

  #caUpdate(): experimental.CaCertificateUpdate {
    return { caCertificate: Buffer.from(this.#material.rootsPem.join('\n')) };
  }

  #identityUpdate(): experimental.IdentityCertificateUpdate {
    return {
      certificate: Buffer.from(this.#material.certificatePem),
      privateKey: Buffer.from(this.#material.keyPem),
    };
  }
}
