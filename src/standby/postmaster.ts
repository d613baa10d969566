export { readPostmaster, type Postmaster } from '../system/postmaster.ts';
