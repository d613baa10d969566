import type { RemoteWork } from '../../src/system/ssh.ts';

/** What a full shell is sent for it. */
export function scriptOf(work: RemoteWork): string {
  return typeof work === 'string' ? work : work.script;
}
