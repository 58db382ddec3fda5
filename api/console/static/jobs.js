// Jobs: what is selected stays selected while the rows are renewed.

const picked = new Set();
const form = document.getElementById("act");
const all = document.getElementById("all");
const boxes = () => [...document.querySelectorAll('#rows input[name="id"]')];

function note() {
  for (const box of boxes()) {
    if (box.checked) picked.add(box.value);
    else picked.delete(box.value);
  }
  all.checked = boxes().length > 0 && boxes().every((box) => box.checked);
}

form.addEventListener("change", (event) => {
  if (event.target === all) for (const box of boxes()) box.checked = all.checked;
  note();
});

document.addEventListener("htmx:afterSwap", () => {
  for (const box of boxes()) box.checked = picked.has(box.value);
  note();
});
