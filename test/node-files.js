/**
 * Program tests that `scripts/test --nodes` repeats under other majors of Node.js: whatever of Node's own interfaces the programs stand
 * on (child processes and their descriptors, file times, inotify, threads, sockets) is used by one of them.
 */
export const nodeFiles = ['how-to', 'base-backup-verify', 'fast-path', 'shipper', 'targets', 'caller'].map(
  (name) => `test/programs/${name}.test.ts`,
);
