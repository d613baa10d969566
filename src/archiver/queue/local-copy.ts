import { join } from 'node:path';
import { PitrError } from '../../errors.ts';
import { fileNameOf } from '../../postgres/queued-name.ts';
import { copyDurably } from '../../system/durable.ts';
import { removeFile } from '../../system/files.ts';
import type { ArchiverDeps } from '../deps.ts';
import { isStill, type WalFile } from '../wal/wal-file.ts';
import { type CompressForQueue, type FrameDeps, queueCompression } from './queued-frame.ts';

/** A complete, flushed copy. */
export interface MadeCopy {
  readonly path: string;
  readonly isFrame: boolean;
}

/** A file that is to be queued. It is copied on first use; every queue that needs the file gets a hard link. */
export interface LocalCopy {
  readonly source: WalFile;
  /** The bytes that it takes on the disk. If it is to be a frame, that is made now; a plain copy is not. */
  readonly bytes: () => Promise<number>;
  readonly made: () => Promise<MadeCopy>;
  /** The file as it is, for a queue that cannot use the frame. */
  readonly plain: () => Promise<MadeCopy>;
}

/** Makes copies in the directory of temporary files. */
export interface Copier extends FrameDeps {
  readonly temporary: string;
  readonly pid: number;
  readonly compress: CompressForQueue | undefined;
}

export function createCopier(deps: ArchiverDeps): Copier {
  const { run, settings, layout, pid } = deps;
  return { run, settings, temporary: layout.temporary, pid, compress: queueCompression(deps) };
}

export async function requireUnchanged(file: WalFile): Promise<void> {
  if (!(await isStill(file))) throw new PitrError(`"${file.path}" changed while it was copied`);
}

async function copyUnchanged(file: WalFile, target: string): Promise<MadeCopy> {
  await removeFile(target);
  await copyDurably(file.path, target);
  await requireUnchanged(file);
  return { path: target, isFrame: false };
}

/** A complete, flushed file that the queues may share as it is. */
export function plainCopy(source: WalFile): LocalCopy {
  const made = (): Promise<MadeCopy> => Promise.resolve({ path: source.path, isFrame: false });
  return { source, bytes: () => Promise.resolve(Number(source.identity.size)), made, plain: made };
}

/** Passes `use` a copy of the file, and removes it afterwards: the links stay. */
export async function withLocalCopy<T>(
  { temporary, pid, compress }: Copier,
  file: WalFile,
  use: (copy: LocalCopy) => Promise<T>,
): Promise<T> {
  const { name } = file;
  const targetOf = (isFrame: boolean): string => join(temporary, `${pid}.${fileNameOf({ name, isFrame })}`);
  const used = new Set<string>();
  const once = <V>(isFrame: boolean, make: (target: string) => Promise<V>): (() => Promise<V>) => {
    let made: Promise<V> | undefined;
    return () => {
      const target = targetOf(isFrame);
      used.add(target);
      return (made ??= make(target));
    };
  };
  const noFrame = (): Promise<undefined> => Promise.resolve(undefined);
  const frame =
    compress === undefined
      ? noFrame
      : once(true, async (target) => {
          const compressed = await compress(file, target);
          // After zstd, and also where it has failed: the reason may be that PostgreSQL has recycled the segment.
          await requireUnchanged(file);
          return compressed;
        });
  const plain = once(false, (target) => copyUnchanged(file, target));
  const made = async (): Promise<MadeCopy> => {
    const compressed = await frame();
    return compressed === undefined ? plain() : { path: compressed.path, isFrame: true };
  };
  const bytes = async (): Promise<number> => (await frame())?.bytes ?? Number(file.identity.size);
  try {
    return await use({ source: file, bytes, made, plain });
  } finally {
    for (const target of used) await removeFile(target).catch(() => undefined);
  }
}
