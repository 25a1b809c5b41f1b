package sample

import (
	"image"
	"image/color"
	"math/rand/v2"
	"strings"
)

// A kind makes pages that are hard in one way.
type kind struct {
	name      string
	blank     bool
	unread    bool     // what stands on it is too little to be scored
	languages []string // nil: English
	make      func(r *rand.Rand) (paper, conditions)
}

// sentences by the engine's name of their language.
var sentences = map[string][]string{
	"eng": {
		"The meeting was moved to the small room beside the library.",
		"Please return the signed form before the end of the month.",
		"We regret that the parcel was damaged on its way to you.",
		"The annual inspection of the boiler is due in November.",
		"Nobody expected the bridge to be closed for so long.",
		"Your contract will be extended by another twelve months.",
		"She asked whether the garden could be watered every evening.",
		"All prices include packing and delivery within the county.",
		"The new timetable comes into force after the holidays.",
		"Children under seven travel free of charge with an adult.",
		"Keep this letter with your other papers, as you may need it.",
		"The roof was repaired twice, and it still lets the rain in.",
		"Several members offered to help with the harvest festival.",
		"Payment is accepted by bank transfer or in cash at the desk.",
		"He found the missing key behind the cupboard in the hall.",
		"The committee thanks everyone who has given time or money.",
	},
	"deu": {
		"Die Sitzung findet künftig im kleinen Saal neben der Bücherei statt.",
		"Bitte schicken Sie uns das ausgefüllte Formular bis Monatsende zurück.",
		"Leider wurde das Paket auf dem Weg zu Ihnen beschädigt.",
		"Die jährliche Prüfung der Heizungsanlage ist im November fällig.",
		"Für größere Mengen gewähren wir einen Nachlass von drei Prozent.",
		"Ihr Vertrag verlängert sich um weitere zwölf Monate.",
		"Alle Preise verstehen sich einschließlich Verpackung und Lieferung.",
		"Der neue Fahrplan gilt ab dem ersten Tag nach den Ferien.",
		"Bewahren Sie dieses Schreiben bei Ihren Unterlagen auf.",
		"Das Dach musste zweimal ausgebessert werden und ist noch undicht.",
	},
	"fra": {
		"La réunion aura lieu dans la petite salle à côté de la bibliothèque.",
		"Veuillez nous renvoyer le formulaire signé avant la fin du mois.",
		"Nous regrettons que le colis ait été endommagé pendant le trajet.",
		"Le contrôle annuel de la chaudière est prévu en novembre.",
		"Votre contrat sera prolongé de douze mois supplémentaires.",
		"Tous les prix comprennent l'emballage et la livraison à domicile.",
		"Le nouvel horaire entrera en vigueur après les vacances d'été.",
		"Conservez cette lettre avec vos autres papiers importants.",
		"Le toit a été réparé deux fois et il laisse encore passer la pluie.",
		"Plusieurs membres ont proposé leur aide pour la fête du village.",
	},
}

// prose gives lines of at most width characters made of sentences.
func prose(r *rand.Rand, language string, lines, width int) string {
	var all []string
	line := ""
	for len(all) < lines {
		list := sentences[language]
		for _, w := range strings.Fields(list[r.IntN(len(list))]) {
			if len([]rune(line))+1+len([]rune(w)) > width {
				all = append(all, line)
				line = ""
			}
			if line != "" {
				line += " "
			}
			line += w
		}
	}
	return strings.Join(all[:lines], "\n")
}

// a letter of prose.
func proseLetter(r *rand.Rand, language, face string, size float64) paper {
	width := int(76 * 11 / size)
	if face == "mono" {
		width = int(62 * 11 / size)
	}
	return paper{width: a4Width, height: a4Height, blocks: []block{
		{x: 25, y: 30, size: size * 1.3, face: "bold", text: prose(r, language, 1, 40)},
		{x: 25, y: 50, size: size, face: face, text: number(r, 1, 28) + ".10.2026"},
		{x: 25, y: 65, size: size, face: face, text: prose(r, language, 8, width)},
		{x: 25, y: 135, size: size, face: face, text: prose(r, language, 9, width)},
		{x: 25, y: 215, size: size, face: face, text: prose(r, language, 3, width)},
	}}
}

func itemTable(r *rand.Rand) paper {
	goods := []string{"Copier paper", "Box files", "Printer toner", "Receipt rolls", "Desk lamps", "Envelopes", "Pencils, soft", "Staples"}
	rows := ""
	for i, at := range r.Perm(len(goods)) {
		if i > 0 {
			rows += "\n"
		}
		rows += goods[at] + "\t" + number(r, 1, 40) + "\t" + number(r, 1, 90) + "." + number(r, 10, 99) + "\t" + number(r, 100, 900) + "." + number(r, 10, 99)
	}
	stops := []float64{-112, -148, -184}
	return paper{blocks: []block{
		{x: 25, y: 25, size: 18, face: "bold", ink: steel, text: "INVOICE " + number(r, 1000, 9999)},
		{x: 25, y: 40, size: 10, text: prose(r, "eng", 3, 60)},
		{x: 25, y: 80, size: 10, face: "bold", stops: stops, text: "Description\tQuantity\tUnit price\tAmount", rule: 159},
		{x: 25, y: 91, size: 10, leading: 1.8, stops: stops, rule: 159, text: rows},
		{x: 25, y: 170, size: 10, text: prose(r, "eng", 4, 80)},
	}}
}

func till(r *rand.Rand) paper {
	goods := []string{"Milk 2 l", "Bread", "Eggs", "Coffee 500 g", "Bananas", "Dish soap", "Butter", "Rice 1 kg", "Apples", "Tea"}
	rows := ""
	for i, at := range r.Perm(len(goods)) {
		if i > 0 {
			rows += "\n"
		}
		rows += goods[at] + "\t" + number(r, 1, 19) + "." + number(r, 10, 99)
	}
	return paper{width: receiptWidth, height: 170, blocks: []block{
		{x: 18, y: 14, size: 13, face: "bold", text: "CORNER MARKET"},
		{x: 14, y: 22, size: 9, face: "mono", text: number(r, 1, 99) + " Station Road"},
		{x: 8, y: 34, size: 9, face: "mono", leading: 1.6, stops: []float64{-69}, text: rows},
		{x: 8, y: 96, size: 10, face: "bold", stops: []float64{-69}, text: "TOTAL\t" + number(r, 20, 90) + "." + number(r, 10, 99)},
		{x: 8, y: 108, size: 9, face: "mono", leading: 1.6, text: "Till 3 Server: Maria\n" + number(r, 10, 28) + " October 2026 17:42\nThank you for shopping"},
	}}
}

// ruledForm asks for entries in a table of lines, with shaded labels, and has boxes to
// tick below it.
func ruledForm(r *rand.Rand) paper {
	const left, split, right, row = 25.0, 85.0, 185.0, 11.0
	rows := [][2]string{
		{"Surname", "Holloway"}, {"First name", "Margaret"}, {"Date of birth", number(r, 1, 28) + "." + number(r, 1, 12) + ".1957"},
		{"Street and number", number(r, 1, 90) + " Orchard Road"}, {"Town", "Kingsbridge"}, {"Telephone", "01632 " + number(r, 100000, 999999)},
		{"Policy number", "KB-" + number(r, 1000, 9999)}, {"Amount claimed", number(r, 1000, 9999) + "." + number(r, 10, 99)},
		{"Date of the incident", number(r, 1, 28) + " February 2026"},
	}
	line := func(x, y, width, height float64) block {
		return block{x: x, y: y, rule: width, size: height, mark: true, ink: black}
	}
	const thin = 0.3
	y, bottom := 60.0, 60.0+row*float64(len(rows))
	p := paper{blocks: []block{
		{x: left, y: 28, size: 16, face: "bold", text: "Claim form " + number(r, 100, 999)},
		{x: left, y: 42, size: 10.5, text: prose(r, "eng", 2, 84)},
		{x: left, y: y, rule: split - left, size: bottom - y, mark: true, ink: shade},
		line(left, y, right-left, thin), line(left, y, thin, bottom-y), line(split, y, thin, bottom-y), line(right, y, thin, bottom-y),
	}}
	for _, e := range rows {
		p.blocks = append(p.blocks, block{x: left + 2, y: y + 0.65*row, size: 10.5, stops: []float64{split + 3}, text: e[0] + "\t" + e[1]})
		y += row
		p.blocks = append(p.blocks, line(left, y, right-left, thin))
	}
	y += 0.8 * row
	for i, s := range []string{"I have read the conditions", "Call me by telephone", "I enclose photographs"} {
		x := left + 58*float64(i)
		p.blocks = append(p.blocks, line(x, y-3, 3, thin), line(x, y, 3+thin, thin), line(x, y-3, thin, 3), line(x+3, y-3, thin, 3),
			block{x: x + 5, y: y, size: 10.5, text: s})
	}
	p.blocks = append(p.blocks, block{x: left, y: y + 11, size: 10.5, text: prose(r, "eng", 6, 84)})
	return p
}

func columns(r *rand.Rand) paper {
	return paper{tint: offWhite, blocks: []block{
		{x: 20, y: 28, size: 20, face: "bold", text: prose(r, "eng", 1, 36)},
		{x: 20, y: 46, size: 9.5, leading: 1.45, text: prose(r, "eng", 40, 46)},
		{x: 110, y: 46, size: 9.5, leading: 1.45, text: prose(r, "eng", 40, 46)},
	}}
}

var (
	grayBed  = color.RGBA{R: 62, G: 62, B: 64, A: 255}
	blackBed = color.RGBA{R: 12, G: 12, B: 13, A: 255}
	whiteBed = color.RGBA{R: 254, G: 254, B: 254, A: 255}
	yellow   = color.RGBA{R: 246, G: 228, B: 150, A: 255}
	recycled = color.RGBA{R: 214, G: 208, B: 196, A: 255}
	pink     = color.RGBA{R: 245, G: 200, B: 205, A: 255}
	pencil   = color.RGBA{R: 168, G: 168, B: 170, A: 255}
	pale     = color.RGBA{R: 150, G: 150, B: 155, A: 255}
	paper255 = color.RGBA{R: 250, G: 250, B: 250, A: 255}
	shade    = color.RGBA{R: 226, G: 226, B: 226, A: 255}
)

// letters fed every which way.
func letterAt(quarters int) func(r *rand.Rand) (paper, conditions) {
	return func(r *rand.Rand) (paper, conditions) {
		return proseLetter(r, "eng", "", 11), conditions{quarters: quarters}
	}
}

// blankWith makes a side without print.
func blankWith(c conditions) func(r *rand.Rand) (paper, conditions) {
	return func(r *rand.Rand) (paper, conditions) {
		c := c
		if c.shine > 0 {
			c.behind = proseLetter(r, "eng", "bold", 12)
		}
		return paper{}, c
	}
}

// only makes a side on which little stands.
func only(b block, c conditions) func(r *rand.Rand) (paper, conditions) {
	return func(r *rand.Rand) (paper, conditions) {
		b := b
		b.x += 10 * r.Float64()
		b.y += 10 * r.Float64()
		return paper{blocks: []block{b}}, c
	}
}

var hardKinds = []kind{
	{name: "letter: English", make: letterAt(0)},
	{name: "letter: German", languages: []string{"deu", "eng"}, make: func(r *rand.Rand) (paper, conditions) {
		return proseLetter(r, "deu", "", 11), conditions{}
	}},
	{name: "letter: French", languages: []string{"fra", "eng"}, make: func(r *rand.Rand) (paper, conditions) {
		return proseLetter(r, "fra", "", 11), conditions{}
	}},
	{name: "turned: upside down", make: letterAt(2)},
	{name: "turned: to the right", make: letterAt(1)},
	{name: "turned: to the left", make: letterAt(3)},
	{name: "turned: three lines", make: func(r *rand.Rand) (paper, conditions) {
		return paper{blocks: []block{{x: 60, y: 110, size: 12, text: prose(r, "eng", 3, 40)}}}, conditions{quarters: 1 + r.IntN(3)}
	}},
	{name: "turned: table", make: func(r *rand.Rand) (paper, conditions) { return itemTable(r), conditions{quarters: 1 + r.IntN(3)} }},
	{name: "turned: capitals", make: func(r *rand.Rand) (paper, conditions) {
		return paper{blocks: []block{{x: 30, y: 60, size: 16, face: "bold", text: strings.ToUpper(prose(r, "eng", 8, 40))}}}, conditions{quarters: 1 + r.IntN(3)}
	}},
	{name: "turned: receipt", make: func(r *rand.Rand) (paper, conditions) { return till(r), conditions{quarters: 2} }},
	{name: "turned: numbers", make: func(r *rand.Rand) (paper, conditions) {
		rows := ""
		for i := range 24 {
			if i > 0 {
				rows += "\n"
			}
			rows += number(r, 1000, 9999) + "\t" + number(r, 100, 999) + "." + number(r, 10, 99) + "\t" + number(r, 10, 99) + "%"
		}
		return paper{blocks: []block{{x: 40, y: 40, size: 11, stops: []float64{-110, -150}, text: rows}}}, conditions{quarters: 1 + r.IntN(3)}
	}},
	{name: "layout: two columns", make: func(r *rand.Rand) (paper, conditions) { return columns(r), conditions{} }},
	{name: "layout: invoice", make: func(r *rand.Rand) (paper, conditions) { return itemTable(r), conditions{} }},
	{name: "layout: receipt", make: func(r *rand.Rand) (paper, conditions) { return till(r), conditions{tint: thermal} }},
	{name: "layout: small print", make: func(r *rand.Rand) (paper, conditions) {
		return paper{blocks: []block{{x: 20, y: 25, size: 7, text: prose(r, "eng", 60, 120)}}}, conditions{}
	}},
	{name: "layout: white on dark", make: func(r *rand.Rand) (paper, conditions) {
		return paper{blocks: []block{
			{x: 15, y: 15, size: 60, rule: 180, mark: true, ink: steel},
			{x: 25, y: 30, size: 14, ink: paper255, text: prose(r, "eng", 5, 55)},
			{x: 25, y: 95, size: 11, text: prose(r, "eng", 10, 76)},
			{x: 15, y: 180, size: 50, rule: 90, mark: true, ink: burgundy},
			{x: 22, y: 195, size: 11, face: "bold", ink: paper255, text: prose(r, "eng", 4, 34)},
		}}, conditions{}
	}},
	{name: "layout: beside a photo", make: func(r *rand.Rand) (paper, conditions) {
		p := proseLetter(r, "eng", "", 11)
		p.blocks = []block{
			{x: 25, y: 30, size: 14, face: "bold", text: prose(r, "eng", 1, 40)},
			{x: 25, y: 50, size: 11, text: prose(r, "eng", 12, 34)},
			{x: 25, y: 150, size: 11, text: prose(r, "eng", 10, 76)},
		}
		p.picture = image.Rect(105, 42, 190, 120)
		return p, conditions{}
	}},
	{name: "print: typewriter", make: func(r *rand.Rand) (paper, conditions) {
		return proseLetter(r, "eng", "mono", 11), conditions{wear: 0.45, tint: offWhite}
	}},
	{name: "print: pale", make: func(r *rand.Rand) (paper, conditions) {
		p := proseLetter(r, "eng", "", 11)
		for i := range p.blocks {
			p.blocks[i].ink = pale
		}
		return p, conditions{}
	}},
	{name: "print: bleed-through", make: func(r *rand.Rand) (paper, conditions) {
		return proseLetter(r, "eng", "", 11), conditions{shine: 0.3, behind: proseLetter(r, "eng", "bold", 11.5)}
	}},
	{name: "print: uneven light, stain, folds", make: func(r *rand.Rand) (paper, conditions) {
		return proseLetter(r, "eng", "", 11), conditions{uneven: 70, stain: true, folds: true}
	}},
	{name: "print: tinted", make: func(r *rand.Rand) (paper, conditions) {
		return proseLetter(r, "eng", "", 11), conditions{tint: recycled, grain: 5, holes: 2}
	}},
	{name: "print: 150 dpi", make: func(r *rand.Rand) (paper, conditions) { return proseLetter(r, "eng", "", 11), conditions{dpi: 150} }},
	{name: "print: 600 dpi", make: func(r *rand.Rand) (paper, conditions) { return proseLetter(r, "eng", "", 9), conditions{dpi: 600} }},
	{name: "print: out of focus", make: func(r *rand.Rand) (paper, conditions) {
		return proseLetter(r, "eng", "", 11), conditions{blur: true, dpi: 200}
	}},
	{name: "bed: black", make: func(r *rand.Rand) (paper, conditions) {
		return proseLetter(r, "eng", "", 11), conditions{bed: blackBed, margin: 8, skew: 3}
	}},
	{name: "bed: grey", make: func(r *rand.Rand) (paper, conditions) {
		return proseLetter(r, "eng", "", 11), conditions{bed: grayBed, margin: 5, tint: yellow}
	}},
	{name: "bed: white", make: func(r *rand.Rand) (paper, conditions) {
		return till(r), conditions{bed: whiteBed, margin: 30, tint: thermal, edge: 20}
	}},
	{name: "bed: receipt on black", make: func(r *rand.Rand) (paper, conditions) {
		return till(r), conditions{bed: blackBed, margin: 40, tint: thermal, skew: -2.5}
	}},
	{name: "blank: white", blank: true, make: blankWith(conditions{})},
	{name: "blank: punch holes", blank: true, make: blankWith(conditions{holes: 2, edge: 60})},
	{name: "blank: four holes, dust", blank: true, make: blankWith(conditions{holes: 4, dust: 60, bed: blackBed})},
	{name: "blank: light holes", blank: true, make: blankWith(conditions{holes: 2, bed: color.RGBA{R: 150, G: 150, B: 150, A: 255}, tint: yellow, margin: 2})},
	{name: "blank: bleed-through", blank: true, make: blankWith(conditions{shine: 0.12})},
	{name: "blank: strong bleed-through", blank: true, make: blankWith(conditions{shine: 0.3})},
	{name: "blank: recycled", blank: true, make: blankWith(conditions{tint: recycled, grain: 7, dust: 25})},
	{name: "blank: yellow", blank: true, make: blankWith(conditions{tint: yellow, grain: 4})},
	{name: "blank: pink, bleed-through", blank: true, make: blankWith(conditions{tint: pink, shine: 0.15})},
	{name: "blank: uneven light", blank: true, make: blankWith(conditions{uneven: 80, edge: 90})},
	{name: "blank: folds", blank: true, make: blankWith(conditions{folds: true})},
	{name: "blank: streaks", blank: true, make: blankWith(conditions{pattern: true, grain: 6})},
	{name: "blank: black bed", blank: true, make: blankWith(conditions{bed: blackBed, margin: 6, skew: 2})},
	{name: "kept: signature", make: func(r *rand.Rand) (paper, conditions) {
		return paper{pen: signature(40+80*r.Float64(), 60+180*r.Float64())}, conditions{}
	}},
	{name: "kept: signature, bleed-through", make: func(r *rand.Rand) (paper, conditions) {
		return paper{pen: signature(40+80*r.Float64(), 60+180*r.Float64())}, conditions{shine: 0.12, behind: proseLetter(r, "eng", "bold", 12)}
	}},
	{name: "kept: page number", make: only(block{x: 100, y: 280, size: 10, text: "7"}, conditions{})},
	{name: "kept: page number, holes", make: only(block{x: 95, y: 278, size: 10, text: "- 12 -"}, conditions{holes: 2, edge: 40})},
	{name: "kept: three tiny words", make: only(block{x: 60, y: 120, size: 6, text: "see over leaf"}, conditions{})},
	{name: "kept: tiny words, tinted", make: only(block{x: 60, y: 120, size: 6, text: "see over leaf"}, conditions{tint: recycled, grain: 5})},
	{name: "kept: pencil line", make: func(r *rand.Rand) (paper, conditions) {
		y := 60 + 160*r.Float64()
		return paper{pen: []stroke{{60, y, 80, y + 3, 95, y + 1, 120, y + 4}}, penInk: pencil}, conditions{}
	}},
	{name: "kept: pencil note", make: func(r *rand.Rand) (paper, conditions) {
		return paper{blocks: []block{{x: 50, y: 80 + 60*r.Float64(), size: 14, ink: pencil, text: "paid, thanks"}}}, conditions{}
	}},
	{name: "kept: a stamp", make: only(block{x: 120, y: 40, size: 11, face: "bold", ink: burgundy, text: "RECEIVED"}, conditions{tint: pink})},
	{name: "layout: ruled form", make: func(r *rand.Rand) (paper, conditions) { return ruledForm(r), conditions{} }},
}
