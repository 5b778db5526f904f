import type { WriteStream } from 'node:tty';

export type Progress = {
  show(at: { cellsDone: number; cells: number; pass: number }): void;
  end(): void;
};

const BAR_CHARACTERS = 30;
/** Without a terminal a line each tenth of the work is enough for a log. */
const LINE_SHARE = 0.1;
/** Too little is done before this to say how long the rest takes. */
const ESTIMATE_AFTER_SHARE = 0.02;

/** A bar with an estimate on a terminal, plain lines elsewhere, nothing when quiet. */
export function createProgress(stream: WriteStream, title: string, isQuiet: boolean): Progress {
  const startedMs = performance.now();
  let linesShown = 0;
  let isBarShown = false;
  let lastPass = 1;
  return {
    show({ cellsDone, cells, pass }) {
      if (isQuiet || cells === 0) return;
      if (pass !== lastPass) linesShown = 0;
      lastPass = pass;
      const share = cellsDone / cells;
      const again = pass === 1 ? '' : `, pass ${pass}: an anomaly threshold was exceeded`;
      if (stream.isTTY) {
        const bar = '#'.repeat(Math.round(share * BAR_CHARACTERS)).padEnd(BAR_CHARACTERS, '.');
        const left = remaining(startedMs, share, pass);
        stream.write(`\r\x1b[K${title} [${bar}] ${Math.floor(share * 100)} %${left}${again}`);
        isBarShown = true;
      } else if (share >= (linesShown + 1) * LINE_SHARE) {
        linesShown = Math.floor(share / LINE_SHARE);
        stream.write(`${title}: ${cellsDone} of ${cells} cells simulated${again}\n`);
      }
    },
    end() {
      if (isBarShown) stream.write('\r\x1b[K');
    },
  };
}

function remaining(startedMs: number, share: number, pass: number): string {
  if (share < ESTIMATE_AFTER_SHARE || pass > 1) return '';
  const seconds = ((performance.now() - startedMs) / 1000) * (1 / share - 1);
  return `, about ${Math.ceil(seconds)} s left`;
}
