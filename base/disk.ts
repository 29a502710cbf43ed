// The only way in which the write-ahead log and the snapshots reach a disk, so that a simulator can stand in for it.
// Nothing is durable before the `sync` of its file, and no name before the `syncDirectory` of its folder.

export interface DiskFile {
  /**
   * Appends at the end of what was appended so far; resolves when the system has taken it, not when it is durable. When it
   * fails nothing counts as appended, whatever part was written: the same bytes may be appended again.
   */
  append(bytes: Uint8Array): Promise<void>;
  /** Resolves when everything appended is durable. A failure is final: the file must not be used again. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** Paths are relative to the root that the disk was made for; '/' separates folders. */
export interface Disk {
  create(path: string): Promise<DiskFile>;
  read(path: string): Promise<Uint8Array>;
  list(directory: string): Promise<string[]>;
  makeDirectory(path: string): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  remove(path: string): Promise<void>;
  syncDirectory(path: string): Promise<void>;
}
