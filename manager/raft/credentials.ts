// Mutual TLS between managers: certificates that can be replaced while connections are open, and whom one proves to be.
import type { PeerCertificate, SecureContextOptions, TlsOptions, ConnectionOptions } from 'node:tls';
import type { CertificateMaterial } from './contract.ts';
import type { MemberId } from './core/types.ts';

const MANAGER = 'shoal-manager';
const HANDSHAKE_TIMEOUT_MS = 2_000;
const MIN_VERSION = 'TLSv1.3';

/** Certificates for new connections in both directions. Open ones live on with what they were begun with. */
export class PeerCredentials {
  #material: CertificateMaterial;
  readonly #clusterId: string;
  #onReplaced: (() => void) | undefined;

  constructor(clusterId: string, material: CertificateMaterial) {
    this.#clusterId = clusterId;
    this.#material = material;
  }

  replace(material: CertificateMaterial): void {
    this.#material = material;
    this.#onReplaced?.();
  }

  /** Called whenever `forServer` has changed. */
  onReplaced(then: () => void): void {
    this.#onReplaced = then;
  }

  /** For the listener: whoever dials must have a certificate of this cluster's authority. */
  forServer(): TlsOptions {
    return {
      ...contextOf(this.#material),
      requestCert: true,
      rejectUnauthorized: true,
      handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
    };
  }

  /** For one connection to this member: whoever answers must prove to be that manager of this cluster. */
  forPeer(id: MemberId): ConnectionOptions {
    return {
      ...contextOf(this.#material),
      servername: id,
      checkServerIdentity: (_host, certificate) => {
        const peer = managerOf(certificate, this.#clusterId);
        return peer === id
          ? undefined
          : new Error(`its certificate is that of ${peer ?? 'no manager of this cluster'}`);
      },
    };
  }
}

/** The node id in a verified certificate of a manager of this cluster; undefined for any other. */
export function managerOf(certificate: Pick<PeerCertificate, 'subject'>, clusterId: string): MemberId | undefined {
  const { CN, OU, O } = certificate.subject;
  return OU === MANAGER && O === clusterId && typeof CN === 'string' && CN !== '' ? CN : undefined;
}

function contextOf({ certificatePem, keyPem, rootsPem }: CertificateMaterial): SecureContextOptions {
  return { cert: certificatePem, key: keyPem, ca: [...rootsPem], minVersion: MIN_VERSION };
}
