/**
 * Program tests that are left to `scripts/test --long`, so that the run without it ends in about five minutes on two cores.
 * Each is the deeper part of something whose everyday part runs always; CI runs them all.
 */
export const slowFiles: readonly string[] = [
  'abandon',
  'archiver-kill',
  'backup-api',
  'base-backup-again',
  'base-backup-company',
  'base-backup-failures',
  'base-backup-politeness',
  'base-backup-progress',
  'base-backup-refusals',
  'base-backup-streaming',
  'base-backup-tablespaces',
  'base-backup-threads',
  'matrix-chain',
  'matrix-clusters',
  'matrix-mixups',
  'package',
  'replay-lag',
  'shipper-limits',
  'shipper-outage',
  'shipper-roles',
  'shipper-steady',
  'switchover-campaign',
  'switchover-killed',
  'switchover-siblings',
  'targets-actions',
  'targets-refusals',
].map((name) => `test/programs/${name}.test.ts`);
