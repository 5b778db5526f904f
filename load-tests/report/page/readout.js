const button = document.getElementById('copy');
const command = document.getElementById('command');

function select() {
  const range = document.createRange();
  range.selectNodeContents(command);
  getSelection().removeAllRanges();
  getSelection().addRange(range);
}

async function copy() {
  try {
    await navigator.clipboard.writeText(command.textContent);
    button.textContent = 'Copied';
  } catch {
    select();
    button.textContent = 'Selected';
  }
  setTimeout(() => {
    button.textContent = 'Copy';
  }, 2000);
}

button.hidden = false;
button.addEventListener('click', copy);

const INVITATION = 'Point at a chart over time, or tap it, for its figures.';

/** Shows under a chart over time what its table says of the time pointed at. */
function follow(figure, index) {
  const readout = figure.querySelector('.readout');
  const heads = [...figure.querySelectorAll('thead th')].map((cell) => cell.textContent);
  const { rows: data } = figure.querySelector('tbody');
  const clear = () => {
    readout.textContent = index === 0 ? INVITATION : '';
    for (const mark of figure.querySelectorAll('.pointer')) mark.remove();
  };
  const show = (event) => {
    const svg = event.currentTarget;
    const { left, right, rows } = svg.dataset;
    const frame = svg.viewBox.baseVal;
    const box = svg.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * frame.width;
    const row = data[Math.floor(((x - left) / (right - left)) * rows)];
    clear();
    if (row === undefined) return;
    const cells = [...row.cells].map((cell) => cell.textContent);
    readout.textContent = cells.map((text, index) => (index === 0 ? text : `${heads[index]} ${text}`)).join(' · ');
    const mark = document.createElementNS(svg.namespaceURI, 'line');
    for (const [name, value] of Object.entries({ class: 'pointer', x1: x, x2: x, y1: 0, y2: frame.height - 34 })) {
      mark.setAttribute(name, value);
    }
    svg.append(mark);
  };
  for (const svg of figure.querySelectorAll('svg')) {
    svg.addEventListener('pointermove', show);
    svg.addEventListener('pointerdown', show);
    svg.addEventListener('pointerleave', clear);
  }
  clear();
}

document.querySelectorAll('.timed').forEach(follow);
