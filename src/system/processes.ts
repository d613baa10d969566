import { systemErrorCode } from './durable.ts';

/** Whether a process exists. One of another user's counts: that it may not be signalled proves that it is there. */
export function isProcessAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return systemErrorCode(error) === 'EPERM';
  }
}
