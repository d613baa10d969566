/**
 * How the rsyncs of one copy compress. zstd sends less, lz4 takes less processor time: which one is faster depends on the link, the
 * processors and the data. A group of files is copied by each, and the others by the faster one.
 */
import { lightCompression } from '../../../../system/rsync.ts';
import type { RsyncAbility } from './rsync-ability.ts';

export type Compression = 'zstd' | 'lz4';

/** With fewer bytes, the time shows the start of rsync. */
const tellingBytes = 32 * 1024 * 1024;
/**
 * If the network is what takes the time, lz4 reaches two thirds of the speed of zstd or less, because it sends more. Above this part it
 * is the processors, and lz4 leaves more of them to others.
 */
const leastPart = 0.85;

export interface CompressionChoice {
  /** For the next rsync. Undefined: the user's flags decide, or rsync itself. */
  readonly next: () => Compression | undefined;
  /** An rsync has copied so many bytes of content. */
  readonly note: (compression: Compression | undefined, bytes: number, tookMs: number) => void;
}

/** @param isLimited with a limit of the bandwidth, the one that sends less is the faster one */
export function compressionChoice(
  { program, bothHaveZstd, bothHaveLz4 }: RsyncAbility,
  isLimited: boolean,
): CompressionChoice {
  // If the user's flags choose a compression, that choice applies.
  const isOurs = lightCompression(program.flags).length > 0 && bothHaveZstd;
  const mayTry = isOurs && bothHaveLz4 && !isLimited;
  const begun = new Set<Compression>();
  const speeds = new Map<Compression, number>();
  const choose = (): Compression => {
    const zstd = speeds.get('zstd');
    const lz4 = speeds.get('lz4');
    if (!begun.has('zstd')) return 'zstd';
    if (!begun.has('lz4')) return 'lz4';
    // The one that is still being measured is slower.
    if (lz4 === undefined) return 'zstd';
    return lz4 > (zstd ?? 0) * leastPart ? 'lz4' : 'zstd';
  };
  return {
    next: () => {
      if (!isOurs) return undefined;
      const chosen = mayTry ? choose() : 'zstd';
      begun.add(chosen);
      return chosen;
    },
    note: (compression, bytes, tookMs) => {
      if (compression === undefined || bytes < tellingBytes) return;
      // Only the first ones were copied side by side: later speeds are those of other files.
      if (speeds.has(compression)) return;
      speeds.set(compression, bytes / Math.max(1, tookMs));
    },
  };
}

/** At level 1 zstd keeps up with most disks and networks. Its default level costs twice as much. */
export function compressionFlags(compression: Compression | undefined): readonly string[] {
  switch (compression) {
    case undefined:
      return [];
    case 'zstd':
      return ['--compress-choice=zstd', '--compress-level=1'];
    case 'lz4':
      return ['--compress-choice=lz4'];
  }
}
