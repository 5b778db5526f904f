import { type Logger, pino } from 'pino';

export type Log = Logger;
export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** JSON lines on standard error. At the usual level, warn, a line means that somebody should look. */
export function createLog(service: string, level: LogLevel): Log {
  return pino(
    { level, base: { service, pid: process.pid }, timestamp: pino.stdTimeFunctions.isoTime },
    pino.destination(2),
  );
}
