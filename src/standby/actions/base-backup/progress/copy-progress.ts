import type { FileGroup } from '../copy/groups.ts';
import type { RsyncProgress } from '../copy/rsync-output.ts';
import type { Amount, BackupPhase, OnBackupEvent } from './events.ts';

function phaseOf({ root }: FileGroup): BackupPhase {
  return root.kind === 'data' ? 'data' : 'tablespaces';
}

/** Each release of rsync counts directories and unchanged files differently. We never report more files than there are. */
function doneOf(group: FileGroup, progress: RsyncProgress, before: Amount): Amount {
  const { remaining, total } = progress;
  const looked = remaining === undefined || total === undefined ? before.files : total - remaining;
  return {
    bytes: Math.max(before.bytes, Math.min(group.bytes, progress.bytes)),
    files: Math.max(before.files, Math.min(group.files.length, looked)),
  };
}

/** Adds up the progress of the workers and reports it. */
export function trackProgress(onEvent: OnBackupEvent) {
  const current = new Map<FileGroup, Amount>();
  let ended: Amount = { bytes: 0, files: 0 };
  let phase: BackupPhase | undefined;
  const report = (): void => {
    const all = [ended, ...current.values()];
    onEvent({
      kind: 'progress',
      bytes: all.reduce((sum, { bytes }) => sum + bytes, 0),
      files: all.reduce((sum, { files }) => sum + files, 0),
    });
  };
  return {
    begin: (group: FileGroup): void => {
      current.set(group, { bytes: 0, files: 0 });
      if (phase === phaseOf(group)) return;
      phase = phaseOf(group);
      onEvent({ kind: 'phase', phase });
    },
    update: (group: FileGroup, progress: RsyncProgress): void => {
      current.set(group, doneOf(group, progress, current.get(group) ?? { bytes: 0, files: 0 }));
      report();
    },
    end: (group: FileGroup): void => {
      current.delete(group);
      ended = { bytes: ended.bytes + group.bytes, files: ended.files + group.files.length };
      report();
    },
  };
}
